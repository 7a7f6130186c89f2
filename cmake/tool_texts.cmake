# cmake -DTOOL=flatpoint -DINTO=folder -P tool_texts.cmake: the manual's pages and the completion scripts, as they lie under share/.
function(write_text path)
  execute_process(COMMAND "${TOOL}" ${ARGN} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
  file(WRITE "${INTO}/${path}" "${text}")
endfunction()

execute_process(COMMAND "${TOOL}" completion bash -- "" OUTPUT_VARIABLE verbs COMMAND_ERROR_IS_FATAL ANY)
string(STRIP "${verbs}" verbs)
string(REPLACE "\n" ";" verbs "${verbs}")
foreach(verb IN LISTS verbs)
  write_text(man/man1/flatpoint-${verb}.1 manual ${verb})
endforeach()
write_text(bash-completion/completions/flatpoint completion bash)
write_text(zsh/site-functions/_flatpoint completion zsh)
write_text(fish/vendor_completions.d/flatpoint.fish completion fish)
write_text(man/man1/flatpoint.1 manual)  # last: the build takes it as the sign that all are there
