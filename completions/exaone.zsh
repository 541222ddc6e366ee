#compdef exaone
# zsh completion for exaone
local -a commands model sampling
commands=(
    'run:ask about text, images and videos'
    'chat:talk in the terminal'
    'eval:perplexity of a text, or a set of cases'
    'inspect:what a model file holds'
    'forward:the stages of the model for given inputs'
    'tokenize:text to token ids'
    'detokenize:token ids to text'
    'template:render a conversation'
    'parse-reply:split a raw reply into reasoning, content and tool calls'
    'preprocess:images and videos to pixel values'
    'help:usage'
)
model=('-m[model folder or file]:model:_files' '--mmproj[vision file of a GGUF model]:file:_files' '--cpu[instruction set]:level:(scalar avx2)'
    '-t[threads]:threads' '--help[usage]')
sampling=('--preset[sampling settings]:preset:(general ocr text)' '--temp[temperature]:number' '--top-p[nucleus]:number' '--top-k[candidates]:number'
    '--min-p[smallest probability]:number' '--presence-penalty[once per token]:number' '--frequency-penalty[per occurrence]:number'
    '--repetition-penalty[factor]:number' '--seed[random seed]:number' '-n[most tokens]:number' '*--stop[stop text]:text' '--greedy[always the best token]')
if ((CURRENT == 2)); then
    _describe command commands
    return
fi
local command=$words[2]
shift words
((CURRENT--))
case $command in
run) _arguments $model $sampling '*--image[image file or URL]:file:_files' '*--video[video file or URL]:file:_files' '-p[prompt]:text' \
    '-f[prompt from a file]:file:_files' '--system[system message]:text' '--think[reason first]' '--no-think[answer at once]' \
    '--boxed[ask for a boxed answer]' '--json[one object]' '--stats[timings]' '--strict-reference[repeat the defects of the reference]' '*:prompt' ;;
chat) _arguments $model $sampling '--system[system message]:text' '--think[reason first]' '--no-think[answer at once]' ;;
eval) _arguments $model '--text[text file]:file:_files' '--cases[cases.jsonl]:file:_files' '--json[as JSON]' ;;
inspect) _arguments '--mmproj[vision file]:file:_files' '--ctx[tokens of context]:number' '--json[as JSON]' '*:model:_files' ;;
forward) _arguments $model '--in[inputs]:file:_files' '--out[results]:file:_files' '--stages[all or a list]:stages' '--precision[activations]:type:(f32)' \
    '--mtp[the MTP module]' '--calls[lengths of the calls]:list' '--greedy[tokens to generate]:number' ;;
tokenize) _arguments '--tokenizer[tokenizer.json or GGUF]:file:_files' '--parse-special[control tokens in the text count]' ;;
detokenize) _arguments '--tokenizer[tokenizer.json or GGUF]:file:_files' '--skip-special[leave special tokens out]' '*:id' ;;
parse-reply) _arguments '--no-think[thinking was off]' '--no-tools[the request had no tools]' '--finish[why it ended]:reason:(stop length)' ;;
preprocess) _arguments '*--image[image]:file:_files' '*--video[video]:file:_files' '--min-pixels[smallest area]:number' '--max-pixels[largest area]:number' \
    '--video-frames[frames]:number' '--video-fps[frames per second]:number' '--resize-backend[arithmetic]:name:(torchvision pil)' \
    '--strict-reference[repeat the defects of the reference]' '--size[HxW instead of a picture]:size' '--out[result]:file:_files' ;;
esac
