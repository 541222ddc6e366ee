# bash completion for exaone
_exaone() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    local sampling="--preset --temp --top-p --top-k --min-p --presence-penalty --frequency-penalty --repetition-penalty --seed -n --stop --greedy"
    local model="-m --mmproj --cpu -t --help"
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run chat eval inspect forward tokenize detokenize template parse-reply preprocess help --help --version" -- "$cur")
        return
    fi
    case $prev in
    --preset)
        mapfile -t COMPREPLY < <(compgen -W "general ocr text" -- "$cur")
        return
        ;;
    --resize-backend)
        mapfile -t COMPREPLY < <(compgen -W "torchvision pil" -- "$cur")
        return
        ;;
    --precision)
        mapfile -t COMPREPLY < <(compgen -W "f32" -- "$cur")
        return
        ;;
    --cpu)
        mapfile -t COMPREPLY < <(compgen -W "scalar avx2" -- "$cur")
        return
        ;;
    --finish)
        mapfile -t COMPREPLY < <(compgen -W "stop length" -- "$cur")
        return
        ;;
    -m | --mmproj | --image | --video | -f | --in | --out | --tokenizer | --text | --cases)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    esac
    local words
    case $command in
    run) words="$model $sampling --image --video -p -f --system --think --no-think --boxed --json --stats --strict-reference" ;;
    chat) words="$model $sampling --system --think --no-think" ;;
    eval) words="$model --text --cases --json" ;;
    inspect) words="--mmproj --ctx --json --help" ;;
    forward) words="$model --in --out --stages --precision --mtp --calls --greedy" ;;
    tokenize) words="--tokenizer --parse-special --help" ;;
    detokenize) words="--tokenizer --skip-special --help" ;;
    parse-reply) words="--no-think --no-tools --finish --help" ;;
    preprocess) words="--image --video --min-pixels --max-pixels --video-frames --video-fps --resize-backend --strict-reference --size --out --help" ;;
    *) words="--help" ;;
    esac
    case $cur in
    -*) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
}
complete -o filenames -F _exaone exaone
