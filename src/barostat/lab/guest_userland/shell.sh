#!/bin/sh
# Runs what the lab asks for on a port, one command at a time. In: ID SECONDS COMMAND. Out: ID
# EXIT-CODE OUTPUT. The command, for a shell, and the end of what it said are in base64.
exec 3<> "$1"
while read -r id seconds command; do
    script=$(echo "$command" | base64 -d)
    timeout -s KILL "$seconds" sh -c "$script" < /dev/null > /run/lab.said 2>&1 3>&-
    code=$?
    echo "$id $code $(tail -c 65536 /run/lab.said | base64 -w 0)" >&3
done <&3
