# fish completion for exaone
set -l commands run chat eval inspect forward tokenize detokenize template parse-reply preprocess help
set -l asks run chat
set -l loads run chat eval forward
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -f
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a run -d "ask about text, images and videos"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a chat -d "talk in the terminal"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a eval -d "perplexity of a text, or a set of cases"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a inspect -d "what a model file holds"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a forward -d "the stages of the model for given inputs"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a tokenize -d "text to token ids"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a detokenize -d "token ids to text"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a template -d "render a conversation"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a parse-reply -d "split a raw reply"
complete -c exaone -n "not __fish_seen_subcommand_from $commands" -a preprocess -d "images and videos to pixel values"
complete -c exaone -l help -d usage
complete -c exaone -n "__fish_seen_subcommand_from $loads" -s m -r -d "model folder or file"
complete -c exaone -n "__fish_seen_subcommand_from $loads" -l mmproj -r -d "vision file of a GGUF model"
complete -c exaone -n "__fish_seen_subcommand_from $loads" -l cpu -x -a "scalar avx2" -d "instruction set"
complete -c exaone -n "__fish_seen_subcommand_from $loads" -s t -x -d threads
complete -c exaone -n "__fish_seen_subcommand_from $asks" -l preset -x -a "general ocr text" -d "sampling settings"
for option in temp top-p top-k min-p presence-penalty frequency-penalty repetition-penalty seed stop
    complete -c exaone -n "__fish_seen_subcommand_from $asks" -l $option -x
end
complete -c exaone -n "__fish_seen_subcommand_from $asks" -s n -x -d "most tokens"
complete -c exaone -n "__fish_seen_subcommand_from $asks" -l greedy -d "always the best token"
complete -c exaone -n "__fish_seen_subcommand_from $asks" -l system -x -d "system message"
complete -c exaone -n "__fish_seen_subcommand_from $asks" -l think -d "reason first"
complete -c exaone -n "__fish_seen_subcommand_from $asks parse-reply" -l no-think -d "answer at once"
complete -c exaone -n "__fish_seen_subcommand_from run preprocess" -l image -r -d "image file or URL"
complete -c exaone -n "__fish_seen_subcommand_from run preprocess" -l video -r -d "video file or URL"
complete -c exaone -n "__fish_seen_subcommand_from run preprocess" -l strict-reference -d "repeat the defects of the reference"
complete -c exaone -n "__fish_seen_subcommand_from run" -s p -x -d prompt
complete -c exaone -n "__fish_seen_subcommand_from run" -s f -r -d "prompt from a file"
complete -c exaone -n "__fish_seen_subcommand_from run" -l boxed -d "ask for a boxed answer"
complete -c exaone -n "__fish_seen_subcommand_from run" -l stats -d timings
complete -c exaone -n "__fish_seen_subcommand_from run eval inspect" -l json -d "as JSON"
complete -c exaone -n "__fish_seen_subcommand_from eval" -l text -r -d "text file"
complete -c exaone -n "__fish_seen_subcommand_from eval" -l cases -r -d cases.jsonl
complete -c exaone -n "__fish_seen_subcommand_from inspect" -l ctx -x -d "tokens of context"
complete -c exaone -n "__fish_seen_subcommand_from forward" -l in -r -d inputs
complete -c exaone -n "__fish_seen_subcommand_from forward preprocess" -l out -r -d results
complete -c exaone -n "__fish_seen_subcommand_from forward" -l stages -x -d "all or a list"
complete -c exaone -n "__fish_seen_subcommand_from forward" -l precision -x -a f32
complete -c exaone -n "__fish_seen_subcommand_from forward" -l mtp -d "the MTP module"
complete -c exaone -n "__fish_seen_subcommand_from forward" -l calls -x -d "lengths of the calls"
complete -c exaone -n "__fish_seen_subcommand_from tokenize detokenize" -l tokenizer -r -d "tokenizer.json or GGUF"
complete -c exaone -n "__fish_seen_subcommand_from tokenize" -l parse-special -d "control tokens in the text count"
complete -c exaone -n "__fish_seen_subcommand_from detokenize" -l skip-special -d "leave special tokens out"
complete -c exaone -n "__fish_seen_subcommand_from parse-reply" -l no-tools -d "the request had no tools"
complete -c exaone -n "__fish_seen_subcommand_from parse-reply" -l finish -x -a "stop length"
for option in min-pixels max-pixels video-frames video-fps size
    complete -c exaone -n "__fish_seen_subcommand_from preprocess" -l $option -x
end
complete -c exaone -n "__fish_seen_subcommand_from preprocess" -l resize-backend -x -a "torchvision pil"
