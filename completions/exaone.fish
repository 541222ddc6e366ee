# fish completion for exaone. Commands and options are read from its own help, so they are always those of the program.
function __exaone_commands
    exaone --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) *\(.*\)/\1\t\2/p'
end

function __exaone_options
    set -l words (commandline -opc)
    exaone $words[2] --help 2>/dev/null | sed -n '/^Options:/,/^$/s/^ *\(-[a-z], \)\{0,1\} *\(--[a-z-]*\) *\([A-Zx=]* \)\{0,1\} *\(.*\)/\2\t\4/p'
end

function __exaone_after
    set -l words (commandline -opc)
    test "$words[-1]" = $argv[1]
end

# __exaone_values OPTION WORDS: what the help lists behind "WORDS:" of an option
function __exaone_values
    exaone run --help 2>/dev/null | sed -n "s/^ *$argv[1] .*$argv[2]: \([-a-z0-9_, ]*\) (.*/\1/p" | string split ', '
end

complete -c exaone -n "test (count (commandline -opc)) -eq 1" -f -a "(__exaone_commands)"
complete -c exaone -n "__exaone_after help" -f -a "(__exaone_commands)"
complete -c exaone -n "test (count (commandline -opc)) -ge 2; and string match -q -- '-*' (commandline -ct)" -f -a "(__exaone_options)"
complete -c exaone -n "__exaone_after --preset" -f -a "general ocr text"
complete -c exaone -n "__exaone_after --resize-backend" -f -a "torchvision pil"
complete -c exaone -n "__exaone_after --precision" -f -a "auto f32"
complete -c exaone -n "__exaone_after --draft" -f -a "1 2 3 4 5 6 7 8"
complete -c exaone -n "__exaone_after --draft; and not contains forward (commandline -opc)" -f -a "auto off"
complete -c exaone -n "__exaone_after --cpu" -f -a "(__exaone_values --cpu 'kernels to use')"
complete -c exaone -n "__exaone_after --cache-type-k; or __exaone_after --cache-type-v" -f -a "(__exaone_values --cache-type-k kept)"
complete -c exaone -n "__exaone_after cache" -f -a "list verify clear"
complete -c exaone -n "__exaone_after --finish" -f -a "stop length"
complete -c exaone -n "__exaone_after --synthetic" -f -a "33b"
complete -c exaone -n "__exaone_after --only" -f -a "machine decode pass prefill context draft image video load"
