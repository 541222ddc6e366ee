#!/bin/sh
# Compares every #include "…" with the table of includes.txt.
. "$(dirname "$0")/lib.sh"
sources '*.c' '*.h' | xargs grep -n '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' /dev/null |
    awk -v table="$here/includes.txt" '
    # Does a name match a word of the table: itself, or all below FOLDER/*?
    function allows(word, name) {
        if (word == "*" || word == name) return 1
        return word ~ /\*$/ && index(name, substr(word, 1, length(word) - 1)) == 1
    }
    BEGIN {
        while ((getline line < table) > 0) {
            if (line ~ /^#/ || line == "") continue
            at = match(line, /[[:space:]]/)
            may[substr(line, 1, at - 1)] = substr(line, at)
        }
    }
    {
        split($0, part, ":")
        file = part[1]
        name = $0
        sub(/^[^"]*"/, "", name)
        sub(/".*$/, "", name)
        rule = ""
        for (folder in may)
            if ((file == folder || index(file, folder "/") == 1) && length(folder) > length(rule)) rule = folder
        if (rule == "") {
            print file ":" part[2] ": no line of includes.txt covers this file"
            next
        }
        own = file
        sub(/\/[^\/]*$/, "", own)
        sub(/^src\//, "", own)
        ok = name !~ /\// || (index(name, own "/") == 1 && name !~ /\.\./)
        n = split(may[rule], words)
        for (i = 1; i <= n && !ok; i++) ok = allows(words[i], name)
        if (!ok) print file ":" part[2] ": " rule " may not include \"" name "\""
    }' | verdict
