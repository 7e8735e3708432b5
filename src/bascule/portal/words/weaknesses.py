"""What agents say of their weaknesses, as ``portal.weaknesses`` finds it."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

WORDS: Mapping[str, Pair] = {
    "weakness.not_enforced": (
        (
            "The agent cannot see to the firewall: nothing is known to be shut or open there. On that "
            "machine, bascule agent status says why."
        ),
        (
            "L’agent ne peut pas agir sur le pare-feu : on ne sait pas ce qui y est fermé ou ouvert. Sur "
            "cette machine, bascule agent status dit pourquoi."
        ),
    ),
    "weakness.guard_unusable": (
        (
            "The guard file of this host cannot be used: nothing is opened here. On that machine, bascule "
            "agent status says why; root mends the file and restarts the agent."
        ),
        (
            "Le fichier de garde de cet hôte est inutilisable : rien n’y est ouvert. Sur cette machine, "
            "bascule agent status dit pourquoi ; root corrige le fichier et redémarre l’agent."
        ),
    ),
    "weakness.guard_refuses": (
        (
            "The guard file of this host refuses something that was to be opened. What it admits is shown "
            "on the machine’s page."
        ),
        (
            "Le fichier de garde de cet hôte refuse une ouverture demandée. La page de la machine montre ce "
            "qu’il admet."
        ),
    ),
    "weakness.doubted": (
        (
            "The agent knew more than this server twice within an hour, or told of thousands of changes "
            "in one, as a thief of its key could: nothing that it reports is believed until an owner "
            "has looked. If its key may be stolen, enrol it anew."
        ),
        (
            "L’agent en savait plus que ce serveur deux fois en une heure, ou a annoncé des milliers de "
            "changements en une heure, comme pourrait le faire un voleur de sa clé : rien de ce qu’il "
            "annonce n’est cru tant qu’un propriétaire n’a pas vérifié. Si sa clé a pu être volée, "
            "inscrivez-le de nouveau."
        ),
    ),
    "weakness.uninstalled": (
        (
            "Root has uninstalled the agent there: nothing keeps the machine’s ports shut. Enrol it "
            "anew, or delete the machine."
        ),
        (
            "L’agent y a été désinstallé par root : rien ne garde fermés les ports de la machine. "
            "Inscrivez-la de nouveau, ou supprimez la machine."
        ),
    ),
    "weakness.unowned": (
        (
            "The firewall table cannot be owned here (kernel below 6.9 or nftables below 1.1): another "
            "tool’s nft flush ruleset would open every port until it is healed."
        ),
        (
            "La table du pare-feu ne peut pas avoir de propriétaire ici (noyau antérieur à 6.9 ou "
            "nftables antérieur à 1.1) : la commande nft flush ruleset d’un autre outil ouvrirait tous "
            "les ports jusqu’à leur rétablissement."
        ),
    ),
    "weakness.no_destroy": (
        (
            "This kernel cannot destroy sockets: a connection that was cut lingers on the host until "
            "its own timeout."
        ),
        (
            "Ce noyau ne sait pas détruire les sockets : une connexion coupée subsiste sur l’hôte "
            "jusqu’à son propre délai d’expiration."
        ),
    ),
    "weakness.no_conntrack": (
        (
            "Tracked connections cannot be listed (module nf_conntrack_netlink): connections through "
            "published container ports are cut when their port is first closed."
        ),
        (
            "Les connexions suivies ne peuvent pas être énumérées (module nf_conntrack_netlink) : les "
            "connexions aux ports publiés de conteneurs sont coupées à la première fermeture du port."
        ),
    ),
    "weakness.published": (
        (
            "Where published container ports lead cannot be read in full: a neighbour who routes to a "
            "container past the machine’s ports may reach it although the port is closed. On that "
            "machine, bascule agent status says what cannot be read."
        ),
        (
            "Impossible de lire entièrement où mènent les ports publiés des conteneurs : un voisin qui "
            "route vers un conteneur sans passer par les ports de la machine peut l’atteindre bien que "
            "le port soit fermé. Sur cette machine, bascule agent status indique ce qui est illisible."
        ),
    ),
    "weakness.not_held": (
        (
            "No service manager keeps the socket that owns the firewall table: while no agent runs, "
            "another tool’s nft flush ruleset would open the ports. Run it as a service: bascule agent "
            "install."
        ),
        (
            "Aucun gestionnaire de services ne conserve le socket propriétaire de la table du "
            "pare-feu : sans agent actif, la commande nft flush ruleset d’un autre outil ouvrirait les "
            "ports. Exécutez-le comme service : bascule agent install."
        ),
    ),
    "weakness.record": (
        (
            "The server’s record is no longer the one that this agent has seen. The evidence is in its "
            "state directory (witness.json); check it with bascule audit verify --witness."
        ),
        (
            "Le registre du serveur n’est plus celui que cet agent a vu. La preuve se trouve dans son "
            "répertoire d’état (witness.json) ; contrôlez-la avec bascule audit verify --witness."
        ),
    ),
    "weakness.shuts_server_off": (
        (
            "The port that this server itself listens on is shut on its own host: nobody reaches it "
            "from elsewhere. Take the port out of the policies, or have the server listen elsewhere."
        ),
        (
            "Le port sur lequel ce serveur lui-même écoute est fermé sur son propre hôte : personne ne "
            "l’atteint d’ailleurs. Retirez le port des stratégies, ou faites écouter le serveur ailleurs."
        ),
    ),
    "weakness.own_range": (
        (
            "Port {port} is shut and lies in this host’s range for its own connections: some of them "
            "will fail. Change net.ipv4.ip_local_port_range or release the port."
        ),
        (
            "Le port {port} est fermé et se trouve dans la plage des connexions sortantes de cet hôte : "
            "certaines échoueront. Modifiez net.ipv4.ip_local_port_range ou libérez le port."
        ),
    ),
}
