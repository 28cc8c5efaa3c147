#include "fabric/common/lanes.h"

#include <gtest/gtest.h>

namespace hearth::fabric {
namespace {

// As UCX 1.13 writes it.
TEST(Lanes, AreNamedAsUcxDoes) {
  EXPECT_EQ(carrier_of("#\n# UCP endpoint \n#\n#               peer: <no debug data>\n"
                       "#                 lane[0]:  1:tcp/lo.0 md[1]                -> "
                       "md[1]/tcp/sysdev[255] am am_bw#0 keepalive wireup\n"
                       "#\n#                 am_send: 0..<egr/zcopy>..20553..<rndv>..(inf)\n"),
            "ucx: tcp/lo");
  EXPECT_EQ(carrier_of("#                 lane[0]: 10:posix/memory.0 md[6]  -> "
                       "md[6]/posix/sysdev[255] am am_bw#0\n"
                       "#                 lane[1]: 12:cma/memory.0 md[7]    -> "
                       "md[7]/cma/sysdev[255] rma_bw#0\n"),
            "ucx: shared memory (cma, posix)");
}

TEST(Lanes, CountWhereTheyCarryMessages) {
  EXPECT_EQ(carrier_of("#  lane[0]:  5:rc_mlx5/mlx5_0:1.0 md[4] -> md[4]/ib/sysdev[0] rma_bw#0 am\n"
                       "#  lane[1]:  5:rc_mlx5/mlx5_0:1.1 md[4] -> md[4]/ib/sysdev[0] rma_bw#1\n"
                       "#  lane[2]:  1:tcp/eth0.100.0 md[1] -> md[1]/tcp/sysdev[255] keepalive\n"
                       "#  lane[3]:  4:ud_mlx5/mlx5_0:1.0 md[4] -> md[4]/ib/sysdev[0] wireup\n"),
            "ucx: rc_mlx5/mlx5_0:1");
  EXPECT_EQ(carrier_of("#  lane[0]:  1:tcp/eth0.100.0 md[1] -> md[1]/tcp/sysdev[255] am\n"),
            "ucx: tcp/eth0.100");
}

TEST(Lanes, ThatNobodyNamesAreJustUcx) {
  EXPECT_EQ(carrier_of(""), "ucx");
  EXPECT_EQ(carrier_of("lane[0]: am\nnothing / of the kind\n"), "ucx");
}

TEST(Lanes, DevicesAreThoseOfAllResources) {
  EXPECT_EQ(devices_of("#     component 1  :  tcp\n#            md 1  :  component 1  tcp \n#\n"
                       "#      resource 0  :  md 0  dev 0  flags -- self/memory0\n"
                       "#      resource 2  :  md 1  dev 2  flags -- tcp/eth0\n"
                       "#      resource 3  :  md 4  dev 3  flags -- rc_mlx5/mlx5_0:1\n"),
            (std::set<std::string>{"memory0", "eth0", "mlx5_0:1"}));
}

}  // namespace
}  // namespace hearth::fabric
