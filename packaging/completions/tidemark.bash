# Completion of `tidemark` in bash. Commands and options are those that the binary itself explains, so that they are always right.

# The lines of a help text that explain an option, without what is before its name: "--after SEQ   start after this event".
_tidemark_options() {
  "$1" "$2" --help 2> /dev/null | sed -n 's/^  \(-[a-zA-Z], \)\{0,1\}\(--[a-z]\)/\2/p'
}

_tidemark() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} value
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2> /dev/null | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p') --help --version" -- "$current")
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ] && [[ $current != -* ]]; then # what a command does, such as `token add`
    value=$("$program" "$command" --help 2> /dev/null | sed -n "s/^[U ].\{5\} tidemark $command \([a-z]\{1,\}\) .*/\1/p")
    [ -z "$value" ] || { mapfile -t COMPREPLY < <(compgen -W "$value" -- "$current"); return; }
  fi
  case "$previous" in
    --*) value=$(_tidemark_options "$program" "$command" | sed -n "s/^$previous \([^ ]\{1,\}\) .*/\1/p") ;;
    -[a-zA-Z]) value=$("$program" "$command" --help 2> /dev/null | sed -n "s/^  $previous, --[a-z-]* \([^ ]\{1,\}\) .*/\1/p") ;;
  esac
  case "$value" in
    "") ;;
    FILE | DIR | PATH | ARCHIVE) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    *"|"*) mapfile -t COMPREPLY < <(compgen -W "${value//|/ }" -- "$current"); return ;;
    *) return ;; # only its owner knows
  esac
  case "$current" in
    -*) mapfile -t COMPREPLY < <(compgen -W "$(_tidemark_options "$program" "$command" | sed 's/ .*//') --help" -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
  esac
}

complete -o filenames -F _tidemark tidemark
