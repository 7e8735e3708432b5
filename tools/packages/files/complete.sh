# Unless the agent's own script is still to come, or its package is of another version.
is_agent_complete() {
    version=$(dpkg-query -W -f '${Version}' bascule-cli)
    found=$(dpkg-query -W -f '${db:Status-Status} ${Version}' bascule-agent 2>/dev/null) || return 1
    [ "$found" = "installed $version" ]
}
