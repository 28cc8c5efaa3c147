# Flags every target of this project is built with, and the two functions that declare them.

add_library(hearth_flags INTERFACE)
get_filename_component(hearth_source ../src ABSOLUTE BASE_DIR ${CMAKE_CURRENT_LIST_DIR})
target_include_directories(hearth_flags INTERFACE ${hearth_source})
target_compile_options(hearth_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers)
# GCC 12 takes `"text" + std::string` for overlapping copies (https://gcc.gnu.org/PR105651) and, with sanitizers, the
# unused members of a std::variant for uninitialized ones.
target_compile_options(hearth_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# Clang builds the fuzz targets; the warnings that stop a build are GCC's.
target_compile_options(hearth_flags INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wno-error>)
target_link_libraries(hearth_flags INTERFACE Threads::Threads)
# Kernels choose their instruction set at run time, so nothing is built with -march=native.
if(HEARTH_SANITIZE)
  target_compile_options(hearth_flags INTERFACE -fsanitize=${HEARTH_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all
                                                $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(hearth_flags INTERFACE -fsanitize=${HEARTH_SANITIZE})
endif()

# hearth_library(NAME [DEPS target...] [PRIVATE_DEPS target...] [SUBFOLDERS folder...])
# A static library hearth_NAME of every .cc in this folder and SUBFOLDERS, and the test program
# hearth_NAME_test of every *_test.cc beside them.
function(hearth_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;PRIVATE_DEPS;SUBFOLDERS;TEST_DEPS" ${ARGN})
  set(patterns *.cc)
  foreach(folder ${ARG_SUBFOLDERS})
    list(APPEND patterns ${folder}/*.cc)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} ${patterns})
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|bench)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")

  add_library(hearth_${name} STATIC ${sources})
  target_link_libraries(hearth_${name} PUBLIC hearth_flags ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  set_target_properties(hearth_${name} PROPERTIES LINKER_LANGUAGE CXX)
  if(tests)
    add_executable(hearth_${name}_test ${tests})
    target_link_libraries(hearth_${name}_test PRIVATE hearth_${name} ${ARG_PRIVATE_DEPS} ${ARG_TEST_DEPS}
                                                      GTest::gmock GTest::gtest_main)
    target_compile_definitions(hearth_${name}_test PRIVATE HEARTH_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    gtest_discover_tests(hearth_${name}_test TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST
                         PROPERTIES TIMEOUT 120)
  endif()
endfunction()
