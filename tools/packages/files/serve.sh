unit=bascule.service

is_booted() {
    [ -d /run/systemd/system ]
}

after_installation() {
    systemd-sysusers bascule.conf
    systemd-tmpfiles --create bascule.conf || true
    is_booted || return 0
    systemctl daemon-reload
    if systemctl is-enabled --quiet $unit 2>/dev/null; then
        systemctl restart $unit || echo "bascule-server: the server does not start:" \
            "journalctl -u bascule" >&2
    else
        echo "bascule-server: its options are in /etc/default/bascule-server. To run it:" \
            "systemctl enable --now bascule" >&2
    fi
}

before_removal() {
    if is_booted; then systemctl disable --now --quiet $unit; fi
}
