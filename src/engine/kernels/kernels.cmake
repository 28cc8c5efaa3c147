# Sets kernel_isas, the instruction sets that the target may have, and the flags of the files in their folders, which run
# only where the registry (isa.cc) found the features.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(kernel_isas avx2 avx512 amx)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(kernel_isas neon neon_i8mm)
else()
  set(kernel_isas)
endif()

set(avx2_flags -mavx2 -mfma -mf16c)
# GCC 12 takes the undefined operands inside its own AVX-512 intrinsics for uses (PR 105593).
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
                 -Wno-uninitialized -Wno-maybe-uninitialized)
set(amx_flags ${avx512_flags} -mamx-tile -mamx-bf16)
# GCC would move loads up for processors that cannot look ahead, until the registers run out.
set(arm_flags $<$<CXX_COMPILER_ID:GNU>:-fno-schedule-insns>)
set(neon_flags -march=armv8.2-a+dotprod ${arm_flags})
set(neon_i8mm_flags -march=armv8.2-a+dotprod+i8mm ${arm_flags})

foreach(isa ${kernel_isas})
  if(HEARTH_SANITIZE)
    # With every check in every unrolled loop these files take minutes each to compile.
    list(APPEND ${isa}_flags -O1 -fno-sanitize=undefined)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/${isa}/*.cc)
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${${isa}_flags}")
endforeach()

# hearth_check_kernel_symbols(NAME LIBRARY): the test that LIBRARY's kernels serve nobody outside their files.
function(hearth_check_kernel_symbols name library)
  add_test(NAME ${name}
           COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} "-DISAS=${kernel_isas}" "-DOBJECTS=$<TARGET_OBJECTS:${library}>"
                   -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check_symbols.cmake)
endfunction()
