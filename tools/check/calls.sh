#!/bin/sh
# Looks for calls of the functions of calls.txt, outside comments and string literals.
. "$(dirname "$0")/lib.sh"
sources 'src/*.c' 'src/*.h' 'cli/*.c' 'cli/*.h' 'tests/*.c' |
    xargs awk -v table="$here/calls.txt" '
    BEGIN {
        while ((getline line < table) > 0) {
            if (line ~ /^#/ || line == "") continue
            split(line, word)
            reason = line
            sub(/^[^ ]+ +[^ ]+ +/, "", reason)
            n = split(word[1], folders, ",")
            for (i = 1; i <= n; i++) banned[folders[i], word[2]] = reason
        }
    }
    FNR == 1 { comment = 0; top = FILENAME; sub(/\/.*/, "", top) }
    {
        line = $0
        gsub(/\\./, "", line)
        gsub(/"[^"]*"/, "\"\"", line)
        code = ""
        while (line != "") { # cut comments, which may go on over lines
            if (comment) {
                at = index(line, "*/")
                if (!at) break
                line = substr(line, at + 2)
                comment = 0
            } else {
                at = index(line, "/*")
                if (!at) { code = code line; break }
                code = code substr(line, 1, at - 1) " "
                line = substr(line, at + 2)
                comment = 1
            }
        }
        sub(/\/\/.*/, "", code)
        while (match(code, /[A-Za-z_][A-Za-z0-9_]*[ ]*\(/)) {
            name = substr(code, RSTART, RLENGTH - 1)
            before = RSTART > 1 ? substr(code, RSTART - 1, 1) : ""
            before2 = RSTART > 2 ? substr(code, RSTART - 2, 2) : ""
            sub(/ +$/, "", name)
            if ((top, name) in banned && before != "." && before2 != "->")
                print FILENAME ":" FNR ": " name "(): " banned[top, name]
            code = substr(code, RSTART + RLENGTH)
        }
    }' | verdict
