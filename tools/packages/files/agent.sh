not_removed() {
    rm -f $mark
    if [ "$was" = enabled ]; then systemctl enable --now --quiet $agent || true; fi
    echo "bascule-agent is not removed: its ports would be open after a reboot." >&2
    echo "To open them on purpose: bascule agent uninstall" >&2
    exit 1
}

before_removal() {
    was=
    touch $mark || true
    /usr/bin/bascule agent keep-closed >/dev/null || not_removed
    if is_booted; then
        was=$(systemctl is-enabled $agent 2>/dev/null) || true
        systemctl disable --now --quiet $agent || not_removed
        systemctl stop bascule-agent-warn.socket bascule-agent-warn.service 2>/dev/null || true
    fi
    # Once more: an agent that was started in between may have closed more, or deleted the file.
    /usr/bin/bascule agent keep-closed || not_removed
    if is_booted; then
        systemctl reset-failed $agent 2>/dev/null || true
        # Whoever owned the rules is gone; they stay, and root can delete them.
        systemctl clean --what=fdstore $agent 2>/dev/null || true
    else
        rm -f /etc/systemd/system/*.wants/$agent
    fi
    if [ -e /etc/bascule/closed.rules ]; then
        echo "bascule-agent: keep the package nftables installed: its removal opens the ports." >&2
    fi
}

after_removal() {
    if is_booted; then systemctl daemon-reload; fi
    rm -f $mark
}

after_installation() {
    rm -f $mark # all files are of one version again
    is_booted || return 0
    systemctl daemon-reload
    if systemctl is-enabled --quiet $agent 2>/dev/null; then
        if ! systemctl restart $agent; then
            echo "bascule-agent: the agent does not start: journalctl -u bascule-agent. Closed" \
                "ports stay closed, also after a reboot." >&2
            exit 1
        fi
    elif [ -e /var/lib/bascule-agent/identity.json ]; then
        echo "bascule-agent: this host is enrolled. To run its agent: systemctl enable --now" \
            "bascule-agent" >&2
    else
        echo "bascule-agent: to enrol this host: bascule agent install --server URL" >&2
    fi
}
