is_booted() {
    [ -d /run/systemd/system ]
}
