#compdef exaone
# zsh completion for exaone. Commands and options are read from its own help, so they are always those of the program.
local program=$words[1] line
local -a commands options
if ((CURRENT == 2)) || { ((CURRENT == 3)) && [[ $words[2] == help ]] }; then
    commands=(${(f)"$($program --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) *\(.*\)/\1:\2/p')"})
    _describe command commands
    return
fi
case $words[CURRENT-1] in
--preset) compadd general ocr text ;;
--resize-backend) compadd torchvision pil ;;
--precision) compadd auto f32 ;;
--draft)
    [[ $words[2] == forward ]] || compadd auto off
    compadd 1 2 3 4 5 6 7 8
    ;;
--cache-type-[kv]) compadd $($program run --help 2>/dev/null | sed -n 's/^ *--cache-type-k .*kept: \([a-z0-9_, ]*\) (.*/\1/p' | tr -d ',') ;;
--synthetic) compadd 33b ;;
--only) compadd machine decode pass prefill context draft image video load ;;
--finish) compadd stop length ;;
--cpu) compadd $($program run --help 2>/dev/null | sed -n 's/^ *--cpu .*kernels to use: \([-a-z0-9, ]*\) (.*/\1/p' | tr -d ',') ;;
*)
    if [[ $words[CURRENT] == -* ]]; then
        options=(${(f)"$($program $words[2] --help 2>/dev/null |
            sed -n '/^Options:/,/^$/s/^ *\(-[a-z], \)\{0,1\} *\(--[a-z-]*\) *\([A-Zx=]* \)\{0,1\} *\(.*\)/\2:\4/p')"})
        _describe option options
    elif [[ $words[CURRENT-1] == cache ]]; then
        compadd list verify clear
    else
        _files
    fi
    ;;
esac
