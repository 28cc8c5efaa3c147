// The loop of collectives.cc over MPI. A program of its own: it needs nothing of Hearth.
//   mpirun -n RANKS hearth_bench_collectives_mpi [EFFORT]
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <cstdlib>

#include "collectives_calls.h"

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  hearth::bench::measure_sums(rank == 0, argc > 1 ? std::atoi(argv[1]) : 1,
                              [](float* data, size_t count) {
                                MPI_Allreduce(MPI_IN_PLACE, data, static_cast<int>(count),
                                              MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
                              });
  MPI_Finalize();
  return 0;
}
