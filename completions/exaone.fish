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

complete -c exaone -n "test (count (commandline -opc)) -eq 1" -f -a "(__exaone_commands)"
complete -c exaone -n "__exaone_after help" -f -a "(__exaone_commands)"
complete -c exaone -n "test (count (commandline -opc)) -ge 2; and string match -q -- '-*' (commandline -ct)" -f -a "(__exaone_options)"
complete -c exaone -n "__exaone_after --preset" -f -a "general ocr text"
complete -c exaone -n "__exaone_after --resize-backend" -f -a "torchvision pil"
complete -c exaone -n "__exaone_after --precision" -f -a f32
complete -c exaone -n "__exaone_after --finish" -f -a "stop length"
