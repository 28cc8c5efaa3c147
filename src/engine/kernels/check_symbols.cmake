# cmake -DNM=nm -DISAS=x;y -DOBJECTS=a.o;b.o -P check_symbols.cmake
# Fails if an object in an instruction set's folder defines anything besides its one table that the
# linker could hand to another object: an inline or template function used elsewhere too would then
# run instructions that the machine may lack.
foreach(isa ${ISAS})
  set(objects ${OBJECTS})
  list(FILTER objects INCLUDE REGEX "/kernels/${isa}/[^/]*$")
  list(LENGTH objects count)
  message(STATUS "${isa}: ${count} objects")
  if(count EQUAL 0)
    message(SEND_ERROR "no object in kernels/${isa}")
  endif()
  foreach(object ${objects})
    execute_process(COMMAND ${NM} --defined-only --extern-only --demangle ${object}
                    OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR "${NM} cannot read ${object}")
    endif()
    string(REGEX MATCHALL "[^\n]+" lines "${symbols}")
    set(tables 0)
    foreach(line ${lines})
      if(line MATCHES " [DRB] hearth::engine::kernels::k[A-Za-z0-9]+Kernels$")
        math(EXPR tables "${tables} + 1")
      elseif(NOT line MATCHES " B __odr_asan\\.")  # AddressSanitizer's marker of the table
        message(SEND_ERROR "${object} exports: ${line}")
      endif()
    endforeach()
    if(NOT tables EQUAL 1)
      message(SEND_ERROR "${object} defines ${tables} kernel tables, expected 1")
    endif()
  endforeach()
endforeach()
