server=bascule.service

after_installation() {
    systemd-sysusers bascule.conf
    systemd-tmpfiles --create bascule.conf || true
    is_booted || return 0
    systemctl daemon-reload
    # One that was stopped on purpose stays so.
    systemctl try-restart $server || echo "bascule-server: the server does not start:" \
        "journalctl -u bascule" >&2
    if ! systemctl is-enabled --quiet $server 2>/dev/null; then
        echo "bascule-server: its options are in /etc/default/bascule-server. To run it:" \
            "systemctl enable --now bascule" >&2
    fi
}

before_removal() {
    if is_booted; then systemctl disable --now --quiet $server; fi
}
