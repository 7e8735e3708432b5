# What is closed stays closed over reboots while no agent starts (EDGES I4). Whichever package is
# unpacked first writes it down, while all files are still of one version.
agent=bascule-agent.service
mark=/run/bascule-keep # while it is there, no agent that starts deletes the rule file

keep_before_upgrade() {
    [ -e /usr/lib/bascule/bascule/agent/run.py ] || return 0
    [ -e $mark ] || touch $mark || true
    if said=$(/usr/bin/bascule agent keep-closed 2>&1); then
        echo kept >$mark || true
    elif [ ! -s $mark ]; then # else an earlier package's script did it, and files are mixed now
        echo "$said" >&2
        echo "bascule-agent: if this upgrade is interrupted, closed ports may be open after a" \
            "reboot, until the agent runs again." >&2
    fi
}

# The command line is removed by force from below an agent, which could not start after a reboot.
keep_before_loss() {
    [ -e /usr/lib/bascule/bascule/agent/run.py ] || return 0
    touch $mark || true
    /usr/bin/bascule agent keep-closed && return 0
    rm -f $mark
    exit 1
}

# One of the packages was installed again without the agent's, whose script would have done it.
end_upgrade() {
    [ -e $mark ] || return 0
    rm -f $mark
    is_booted || return 0
    systemctl try-restart $agent || echo "bascule-agent: the agent does not start: journalctl" \
        "-u bascule-agent." >&2
}
