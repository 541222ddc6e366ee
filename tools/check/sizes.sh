#!/bin/sh
# A .c file has less than 800 lines; a function is at most 120 lines, and one above 60 is named without failing. A function
# runs from a line in column 0 that ends in "{" and holds a "(" to the next "}" in column 0.
. "$(dirname "$0")/lib.sh"
{
    sources '*.c' | xargs wc -l | awk '$2 != "total" && $1 >= 800 { print $2 ":800: " $1 " lines, the limit is 799" }'
    sources '*.c' | xargs awk '
        FNR == 1 { start = 0 }
        /^[A-Za-z_].*\(/ && !/;[[:space:]]*$/ { head = FNR; split($0, part, "("); name = part[1]; sub(/.*[ *]/, "", name) }
        /^[^#}[:space:]].*\{$/ || /^[[:space:]].*\) \{$/ { if (head && !start) start = head }
        /^}/ {
            lines = FNR - start + 1
            if (start && lines > 120) print FILENAME ":" start ": " name "() has " lines " lines, the limit is 120"
            else if (start && lines > 60) print "note: " FILENAME ":" start ": " name "() has " lines " lines"
            start = 0
            head = 0
        }'
} | awk '{ print } !/^note: / { bad = 1 } END { exit bad }'
