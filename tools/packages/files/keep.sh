# What is closed stays closed over reboots while no agent starts (EDGES I4).
rules=/etc/bascule/closed.rules
unit=bascule-agent.service

is_booted() {
    [ -d /run/systemd/system ]
}

before_upgrade() {
    /usr/bin/bascule agent keep-closed >/dev/null || echo "bascule-agent: if this upgrade is" \
        "interrupted, closed ports may be open after a reboot, until the agent runs again." >&2
}

before_removal() {
    if ! /usr/bin/bascule agent keep-closed; then
        echo "bascule-agent is not removed: its ports would be open after a reboot." >&2
        echo "To open them on purpose: bascule agent uninstall" >&2
        exit 1
    fi
    if is_booted; then
        systemctl disable --now --quiet $unit || exit 1
        systemctl reset-failed $unit 2>/dev/null || true
        # Whoever owned the rules is gone; they stay, and root can delete them.
        systemctl clean --what=fdstore $unit 2>/dev/null || true
    else
        rm -f /etc/systemd/system/*.wants/$unit
    fi
}

after_installation() {
    is_booted || return 0
    systemctl daemon-reload
    if systemctl is-enabled --quiet $unit 2>/dev/null; then
        if ! systemctl restart $unit; then
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
