"""Why something was refused, by the code of the error, and the way out of it (``way``).

Each code that domain, services, identity and store answer has its sentence; a test looks for
them. What is particular (which port, which maximum) stands in the error's own message.
"""

from __future__ import annotations

from collections.abc import Mapping

from bascule.portal.words import Pair

# -- asking, extending, closing ------------------------------------------------------------

_REQUESTS: Mapping[str, Pair] = {
    "reason.AddressChanged": (
        "Your address is no longer the one that this form showed.",
        "Votre adresse n’est plus celle qu’affichait ce formulaire.",
    ),
    "way.AddressChanged": (
        "Look at the new one and send the form again.",
        "Vérifiez la nouvelle et renvoyez le formulaire.",
    ),
    "reason.OfferChanged": (
        "The port or its time is no longer what the form showed.",
        "Le port ou sa durée n’est plus ce qu’affichait le formulaire.",
    ),
    "way.OfferChanged": (
        "Look at what is offered now and ask again.",
        "Vérifiez ce qui est proposé maintenant et renouvelez la demande.",
    ),
    "reason.NotAsShown": (
        "What this opens or ends is no longer what was shown; nothing was done.",
        "Ce qui s’ouvre ou prend fin n’est plus ce qui était affiché ; rien n’a été fait.",
    ),
    "way.NotAsShown": (
        "Look at it below, and confirm again if that is meant.",
        "Regardez ci-dessous, et confirmez de nouveau si c’est voulu.",
    ),
    "reason.AddressNotProved": (
        "This session has not come from that address lately.",
        "Cette session n’est pas venue récemment de cette adresse.",
    ),
    "way.AddressNotProved": (
        "Choose My IP, or enter the address as an IP range.",
        "Choisissez Mon IP, ou saisissez l’adresse comme plage d’adresses IP.",
    ),
    "reason.MachinesRequired": ("No machine is named.", "Aucune machine n’est indiquée."),
    "way.MachinesRequired": (
        "Choose machines on the page Just-in-time VM access.",
        "Choisissez des machines sur la page Accès juste-à-temps aux machines virtuelles.",
    ),
    "reason.TooManyMachines": (
        "These are more machines than one form takes.",
        "Il y a plus de machines qu’un formulaire n’en accepte.",
    ),
    "way.TooManyMachines": (
        "Ask for fewer at once.",
        "Demandez l’accès à moins de machines à la fois.",
    ),
    "reason.MachineNotFound": (
        "This machine is not known here.",
        "Cette machine n’est pas connue ici.",
    ),
    "way.MachineNotFound": (
        "It may have been removed: look for it under Just-in-time VM access.",
        "Elle a peut-être été supprimée : cherchez-la sous Accès juste-à-temps aux machines virtuelles.",
    ),
    "reason.MachineNotInPolicy": (
        "The policy does not name this machine.",
        "La stratégie ne mentionne pas cette machine.",
    ),
    "way.MachineNotInPolicy": (
        "Whoever may change policies configures just-in-time access for it first.",
        "Une personne autorisée à modifier les stratégies doit d’abord configurer l’accès JAT pour elle.",
    ),
    "reason.PortsRequired": ("No port is chosen.", "Aucun port n’est choisi."),
    "way.PortsRequired": (
        "Switch on at least one port.",
        "Activez au moins un port.",
    ),
    "reason.PortNotInPolicy": (
        "This port cannot be requested on this machine.",
        "Ce port ne peut pas être demandé sur cette machine.",
    ),
    "way.PortNotInPolicy": (
        "Choose one of the ports that are shown, or have the configuration changed.",
        "Choisissez l’un des ports affichés, ou faites modifier la configuration.",
    ),
    "reason.SourceNotAllowed": (
        "The source is not within what the policy allows for this port.",
        "La source ne fait pas partie de celles que la stratégie autorise pour ce port.",
    ),
    "way.SourceNotAllowed": (
        "Enter a source within the allowed ranges, or come from one of them.",
        "Saisissez une source comprise dans les plages autorisées, ou connectez-vous depuis l’une d’elles.",
    ),
    "reason.DurationTooLong": (
        "The time is longer than the policy allows for this port.",
        "La durée dépasse celle que la stratégie autorise pour ce port.",
    ),
    "way.DurationTooLong": (
        "Choose a shorter time; it can be extended later.",
        "Choisissez une durée plus courte ; elle pourra être prolongée ensuite.",
    ),
    "reason.AgentUninstalled": (
        "Root has uninstalled the agent of this machine: nothing of ours shuts its ports or opens them.",
        "L’agent de cette machine a été désinstallé par root : rien ne ferme ni n’ouvre plus ses ports.",
    ),
    "way.AgentUninstalled": (
        "Somebody who may enrol agents has to enrol one there anew.",
        "Une personne autorisée à inscrire des agents doit y en inscrire un de nouveau.",
    ),
    "reason.LongerThanHostAdmits": (
        "The time is longer than the host itself admits, whatever the policy says.",
        "La durée dépasse celle que l’hôte lui-même admet, quoi que dise la stratégie.",
    ),
    "way.LongerThanHostAdmits": (
        "Choose a shorter time; it can be extended later.",
        "Choisissez une durée plus courte ; elle pourra être prolongée ensuite.",
    ),
    "reason.PortNotAdmittedByHost": (
        "The host itself does not admit this port, whatever the policy says.",
        "L’hôte lui-même n’admet pas ce port, quoi que dise la stratégie.",
    ),
    "way.PortNotAdmittedByHost": (
        "Root on that host may change its guard file and restart the agent.",
        "Sur cet hôte, root peut modifier le fichier de garde et redémarrer l’agent.",
    ),
    "reason.SourceNotAdmittedByHost": (
        "The host itself does not admit this source, whatever the policy says.",
        "L’hôte lui-même n’admet pas cette source, quoi que dise la stratégie.",
    ),
    "way.SourceNotAdmittedByHost": (
        "Enter a source within what the host admits, which its machine page shows.",
        "Saisissez une source comprise dans ce que l’hôte admet ; la page de la machine l’indique.",
    ),
    "reason.HostGuardUnusable": (
        "The guard file of that host cannot be used, so it opens nothing.",
        "Le fichier de garde de cet hôte est inutilisable : il n’ouvre donc rien.",
    ),
    "way.HostGuardUnusable": (
        "Root on that host mends the guard file and restarts the agent.",
        "Sur cet hôte, root doit corriger le fichier de garde et redémarrer l’agent.",
    ),
    "reason.ReleaseNotAdmittedByHost": (
        "The host itself keeps this port shut: its guard file admits no release.",
        "L’hôte lui-même garde ce port fermé : son fichier de garde n’admet aucune libération.",
    ),
    "way.ReleaseNotAdmittedByHost": (
        "Root on that host may write release = true into the guard file and restart the agent.",
        "Sur cet hôte, root peut écrire release = true dans le fichier de garde et redémarrer l’agent.",
    ),
    "reason.EndTimePassed": (
        "The end is not in the future.",
        "L’échéance n’est pas dans le futur.",
    ),
    "way.EndTimePassed": ("Choose a later end.", "Choisissez une échéance plus tardive."),
    "reason.JustificationRequired": (
        "The policy wants a justification for this port.",
        "La stratégie exige une justification pour ce port.",
    ),
    "way.JustificationRequired": (
        "Write why the access is needed.",
        "Écrivez pourquoi cet accès est nécessaire.",
    ),
    "reason.JustificationTooLong": (
        "The justification has more than 1,024 characters.",
        "La justification compte plus de 1\N{NARROW NO-BREAK SPACE}024 caractères.",
    ),
    "way.JustificationTooLong": ("Shorten it.", "Raccourcissez-la."),
    "reason.TooManyGrants": (
        "There are too many openings on this machine at the same time.",
        "Il y a trop d’ouvertures simultanées sur cette machine.",
    ),
    "way.TooManyGrants": (
        "Close some of them first, under Open now.",
        "Fermez-en d’abord quelques-unes, sous Accès ouverts.",
    ),
    "reason.TooManyOpenings": (
        "These are more sources than one machine takes at the same time.",
        "Il y a plus de sources qu’une machine n’en accepte simultanément.",
    ),
    "way.TooManyOpenings": (
        "Name fewer sources, or a range that contains them.",
        "Indiquez moins de sources, ou une plage qui les contient.",
    ),
    "reason.StateTooLarge": (
        "This machine has more open access than its agent can be told of.",
        "Il y a plus d’accès ouverts sur cette machine que son agent ne peut en recevoir.",
    ),
    "way.StateTooLarge": (
        "Name fewer sources, or a range that contains them, or ask again later.",
        "Indiquez moins de sources, ou une plage qui les contient, ou redemandez plus tard.",
    ),
    "reason.TooManyKnownPorts": (
        "This machine has too many ports that are closed or were released.",
        "Cette machine a trop de ports fermés ou libérés.",
    ),
    "way.TooManyKnownPorts": (
        "Name fewer ports. A new enrolment of its agent forgets what was released.",
        "Indiquez moins de ports. Une nouvelle inscription de son agent oublie les ports libérés.",
    ),
    "reason.TooManyPorts": (
        "These are more ports than one request takes.",
        "Il y a plus de ports qu’une demande n’en accepte.",
    ),
    "way.TooManyPorts": ("Ask for fewer at once.", "Demandez-en moins à la fois."),
    "reason.TooManySources": (
        "These are more sources than one port takes.",
        "Il y a plus de sources qu’un port n’en accepte.",
    ),
    "way.TooManySources": (
        "Name a range that contains them.",
        "Indiquez une plage qui les contient.",
    ),
    "reason.SourceRequired": (
        "No source is named, and your own address cannot be meant.",
        "Aucune source n’est indiquée, et votre propre adresse ne peut pas convenir.",
    ),
    "way.SourceRequired": (
        "Enter as IP range the address that the machine will see you come from.",
        "Saisissez comme plage d’adresses IP l’adresse depuis laquelle la machine vous verra venir.",
    ),
    "reason.InvalidAddress": ("This is not an IP address.", "Ce n’est pas une adresse IP."),
    "way.InvalidAddress": (
        "Write it as 192.0.2.7 or 2001:db8::7, without a zone.",
        "Écrivez-la sous la forme 192.0.2.7 ou 2001:db8::7, sans zone.",
    ),
    "reason.InvalidAddressPrefix": (
        "This is not a range of IP addresses.",
        "Ce n’est pas une plage d’adresses IP.",
    ),
    "way.InvalidAddressPrefix": (
        "Write it as 192.0.2.0/24 or 2001:db8::/64, beginning with its first address.",
        "Écrivez-la sous la forme 192.0.2.0/24 ou 2001:db8::/64, en commençant par sa première adresse.",
    ),
    "reason.InvalidDuration": (
        "This is not a length of time that can be had here.",
        "Ce n’est pas une durée possible ici.",
    ),
    "way.InvalidDuration": (
        "Write hours and minutes as 2:30, or with a unit: 3 h, 45 min.",
        "Écrivez heures et minutes sous la forme 2:30, ou avec une unité : 3 h, 45 min.",
    ),
    "reason.InvalidDateTime": (
        "This is not a date and time with its zone.",
        "Ce n’est pas une date et heure avec son fuseau.",
    ),
    "reason.JitSwitchedOff": (
        "Just-in-time access is switched off here: nothing can be opened.",
        "L’accès juste-à-temps est désactivé ici : rien ne peut être ouvert.",
    ),
    "way.JitSwitchedOff": (
        "An owner of the subscription or the resource group can switch it on again.",
        "Un propriétaire de l’abonnement ou du groupe de ressources peut le réactiver.",
    ),
    "reason.GrantNotLive": (
        "Nothing of this request is open any more.",
        "Plus rien de cette demande n’est ouvert.",
    ),
    "way.GrantNotLive": ("Make a new request.", "Faites une nouvelle demande."),
    "reason.GrantNotFound": (
        "This request has no such port.",
        "Cette demande n’a pas ce port.",
    ),
    "reason.GrantChanged": (
        "It was changed in the meantime.",
        "Cela a été modifié entre-temps.",
    ),
    "way.GrantChanged": (
        "Load the page anew and decide again.",
        "Rechargez la page et décidez à nouveau.",
    ),
    "reason.IllegalTransition": (
        "It was changed in the meantime.",
        "Cela a été modifié entre-temps.",
    ),
    "way.IllegalTransition": (
        "Load the page anew and decide again.",
        "Rechargez la page et décidez à nouveau.",
    ),
    "reason.EndTimeEarlier": (
        "It is granted until later than that already.",
        "L’accès est déjà accordé jusqu’à une heure plus tardive.",
    ),
    "way.EndTimeEarlier": (
        "Choose a longer time; to end it early, close it.",
        "Choisissez une durée plus longue ; pour y mettre fin plus tôt, fermez-le.",
    ),
    "reason.NoAddressInFamily": (
        "The machine has no address of the kind that the access is from (IPv4 or IPv6).",
        "La machine n’a pas d’adresse du type depuis lequel l’accès est accordé (IPv4 ou IPv6).",
    ),
    "reason.AccessRequestDenied": (
        "The policy does not allow this request.",
        "La stratégie n’autorise pas cette demande.",
    ),
}

# -- policies and machines -----------------------------------------------------------------

_POLICIES: Mapping[str, Pair] = {
    "reason.DuplicateMachine": (
        "A machine stands twice in this policy.",
        "Une machine figure deux fois dans cette stratégie.",
    ),
    "way.DuplicateMachine": (
        "Give all its ports once.",
        "Indiquez tous ses ports une seule fois.",
    ),
    "reason.DuplicatePort": (
        "A port stands twice for this machine.",
        "Un port figure deux fois pour cette machine.",
    ),
    "way.DuplicatePort": (
        "Give it once, with all its sources.",
        "Indiquez-le une seule fois, avec toutes ses sources.",
    ),
    "reason.InvalidPort": (
        "A port number is from 1 to 65535.",
        "Un numéro de port est compris entre 1 et 65535.",
    ),
    "reason.InvalidMachineLocation": (
        "The machine is in another location than the policy.",
        "La machine se trouve dans un autre emplacement que la stratégie.",
    ),
    "way.InvalidMachineLocation": (
        "Put it into a policy of its own location.",
        "Placez-la dans une stratégie de son propre emplacement.",
    ),
    "reason.PortInLocalRange": (
        "The host takes this port for its own outbound connections; closing it would break them.",
        "L’hôte utilise ce port pour ses propres connexions sortantes ; le fermer les romprait.",
    ),
    "way.PortInLocalRange": (
        "Let sessions live on at the end (TCP), choose another port, or change the host’s range.",
        "Laissez les sessions se poursuivre à l’échéance (TCP), choisissez un autre port, ou changez la plage de l’hôte.",
    ),
    "reason.PortOfServer": (
        "This is the port on which this server itself listens.",
        "C’est le port sur lequel ce serveur lui-même écoute.",
    ),
    "way.PortOfServer": (
        "Name another port: closing this one would shut off every agent and everybody who asks.",
        "Choisissez un autre port : fermer celui-ci couperait tous les agents et tous les demandeurs.",
    ),
    "reason.AddressOfServer": (
        "This is an address of this server itself, and a policy names the port on which it listens.",
        "C’est une adresse de ce serveur lui-même, et une stratégie mentionne le port sur lequel il écoute.",
    ),
    "way.AddressOfServer": (
        "Take the port out of the policy first: closing it would shut off every agent and everybody who asks.",
        "Retirez d’abord le port de la stratégie : le fermer couperait tous les agents et tous les demandeurs.",
    ),
    "reason.PortInPolicy": (
        "A policy names this port.",
        "Une stratégie mentionne ce port.",
    ),
    "way.PortInPolicy": (
        "Take it out of the policy first.",
        "Retirez-le d’abord de la stratégie.",
    ),
    "reason.PlanEnforced": (
        "The plan is enforced from above and cannot be set here.",
        "Le plan est imposé par un niveau supérieur et ne peut pas être réglé ici.",
    ),
    "reason.ResourceGroupNotFound": (
        "This resource group does not exist.",
        "Ce groupe de ressources n’existe pas.",
    ),
    "reason.ResourceGroupNotEmpty": (
        "The resource group is not empty.",
        "Le groupe de ressources n’est pas vide.",
    ),
    "reason.InvalidResourceId": (
        "This is not the id of a resource.",
        "Ce n’est pas l’identifiant d’une ressource.",
    ),
    "way.InvalidResourceId": (
        "The link is cut off or wrong: choose the machine on its page.",
        "Le lien est tronqué ou faux : choisissez la machine sur sa page.",
    ),
    "reason.InvalidResourceName": (
        "A name has 1 to 64 of the characters A-Z a-z 0-9 . _ - and begins with a letter or digit.",
        "Un nom compte 1 à 64 des caractères A-Z a-z 0-9 . _ - et commence par une lettre ou un chiffre.",
    ),
    "reason.AgentUnknown": (
        "The machine of this agent is not known any more.",
        "La machine de cet agent n’est plus connue.",
    ),
    "reason.GenerationTooFarAhead": (
        "What the agent says of its state is not believed.",
        "Ce que l’agent dit de son état n’est pas plausible.",
    ),
    "reason.InvalidResourceGroup": (
        "Choose a resource group.",
        "Choisissez un groupe de ressources.",
    ),
    "reason.InvalidSource": (
        "Give at least one address or range.",
        "Indiquez au moins une adresse ou une plage.",
    ),
    "reason.JitEnabledAlready": (
        "Just-in-time access is on already; nothing was changed.",
        "L’accès juste-à-temps est déjà activé ; rien n’a été modifié.",
    ),
    "reason.InvalidOsType": ("Choose Linux or Windows.", "Choisissez Linux ou Windows."),
    "reason.AgentEnrolled": (
        "This machine has an enrolled agent: a new agent would be refused.",
        "Cette machine a un agent inscrit : un nouvel agent serait refusé.",
    ),
    "way.AgentEnrolled": (
        "Put a new agent in its place on the machine’s page under Enforcement points.",
        "Remplacez-le depuis la page de la machine, sous Points d’application.",
    ),
    "reason.GuardedByServer": (
        "The server guards this machine itself: no agent can enrol for it.",
        "Le serveur protège lui-même cette machine : aucun agent ne peut s’y inscrire.",
    ),
    "way.GuardedByServer": (
        "Start the server without --this-host, then remove that enforcement point.",
        "Démarrez le serveur sans --this-host, puis supprimez ce point d’application.",
    ),
    "reason.MachineExists": (
        "There is a machine of this name already.",
        "Une machine de ce nom existe déjà.",
    ),
    "reason.AlreadySetUp": (
        "This installation has an owner already.",
        "Cette installation a déjà un propriétaire.",
    ),
    "way.AlreadySetUp": ("Sign in.", "Connectez-vous."),
}

# -- people, roles, signing in ---------------------------------------------------------------

_ACCESS: Mapping[str, Pair] = {
    "reason.AuthorizationFailed": (
        "A right is missing for this.",
        "Il vous manque un droit pour le faire.",
    ),
    "way.AuthorizationFailed": (
        "Ask an owner for a role that gives it.",
        "Demandez à un propriétaire un rôle qui le donne.",
    ),
    "reason.FormUnsent": (
        "Your session had ended, so nothing was done.",
        "Votre session était terminée : rien n’a été fait.",
    ),
    "way.FormUnsent": (
        "Check the form and send it again.",
        "Vérifiez le formulaire et envoyez-le de nouveau.",
    ),
    "reason.BelowRecordFloor": (
        "Nothing younger than the record’s floor can be deleted.",
        "Rien de plus récent que la durée minimale de conservation du journal ne peut être supprimé.",
    ),
    "way.BelowRecordFloor": (
        "The floor is set on the server’s host: bascule serve --record-floor.",
        "Cette durée se règle sur l’hôte du serveur : bascule serve --record-floor.",
    ),
    "reason.ClockNotConfirmed": (
        "The server’s clock leapt; nothing of the record is deleted until it is confirmed.",
        "L’horloge du serveur a fait un bond ; rien du journal n’est supprimé avant confirmation.",
    ),
    "way.ClockNotConfirmed": (
        "On the server’s host: bascule admin confirm-clock.",
        "Sur l’hôte du serveur : bascule admin confirm-clock.",
    ),
    "reason.RecordNotTaken": (
        "A sink has not taken these events yet; nothing was deleted.",
        "Une destination n’a pas encore reçu ces événements ; rien n’a été supprimé.",
    ),
    "way.RecordNotTaken": (
        "See what each sink has taken: bascule audit sinks list.",
        "Voyez ce que chaque destination a reçu : bascule audit sinks list.",
    ),
    "reason.PortNotClaimed": (
        "This is no port that the agent claims to keep closed.",
        "Ce n’est pas un port que l’agent déclare garder fermé.",
    ),
    "way.PortNotClaimed": (
        "Look at the machine’s page: it lists the ports that its agent claims.",
        "Consultez la page de la machine : elle liste les ports que son agent déclare.",
    ),
    "reason.FormRefused": (
        "This form does not come from a page of your session; nothing was changed.",
        "Ce formulaire ne vient pas d’une page de votre session ; rien n’a été modifié.",
    ),
    "way.FormRefused": (
        "Load the page anew and send it again.",
        "Rechargez la page et renvoyez-le.",
    ),
    "reason.AuthenticationFailed": ("You are not signed in.", "Vous n’êtes pas connecté."),
    "reason.InvalidAuthenticationToken": (
        "You are not signed in.",
        "Vous n’êtes pas connecté.",
    ),
    "reason.LastOwner": (
        "Nobody would be left who is an owner and can sign in.",
        "Il ne resterait personne qui soit propriétaire et puisse se connecter.",
    ),
    "way.LastOwner": (
        "Make somebody else an owner first.",
        "Donnez d’abord le rôle de propriétaire à quelqu’un d’autre.",
    ),
    "reason.AmbiguousPrincipal": (
        "More than one is called that.",
        "Plusieurs portent ce nom.",
    ),
    "way.AmbiguousPrincipal": ("Give the id.", "Indiquez l’identifiant."),
    "reason.ProviderExists": (
        "There is an identity provider of this name already.",
        "Un fournisseur d’identité de ce nom existe déjà.",
    ),
    "reason.RoleNotPlain": (
        "This role holds more than this form can keep.",
        "Ce rôle contient plus que ce formulaire ne peut conserver.",
    ),
    "way.RoleNotPlain": (
        "Change it by the API, or with az role definition update.",
        "Modifiez-le par l’API, ou avec az role definition update.",
    ),
    "reason.UnknownAction": (
        "Nothing here asks for that action.",
        "Rien ici ne demande cette action.",
    ),
    "reason.UserNotFound": ("There is no such user.", "Cet utilisateur n’existe pas."),
    "reason.UserNameTaken": (
        "There is a user of this name already.",
        "Un utilisateur de ce nom existe déjà.",
    ),
    "reason.InvalidUserName": (
        "This cannot be a user’s name.",
        "Ce ne peut pas être un nom d’utilisateur.",
    ),
    "reason.InvalidName": (
        "A name is one line that can be read as it is, without blanks at its ends.",
        "Un nom tient sur une ligne lisible telle quelle, sans espaces à ses bouts.",
    ),
    "reason.InvalidPassword": (
        "The password does not meet the rules.",
        "Le mot de passe ne respecte pas les règles.",
    ),
    "reason.PrincipalNotFound": (
        "There is no such user, group or service principal.",
        "Cet utilisateur, ce groupe ou ce principal de service n’existe pas.",
    ),
    "reason.UnmatchedPrincipalType": (
        "The principal is of another kind.",
        "Le principal est d’un autre type.",
    ),
    "reason.GroupNotFound": ("There is no such group.", "Ce groupe n’existe pas."),
    "reason.GroupNameTaken": (
        "There is a group of this name already.",
        "Un groupe de ce nom existe déjà.",
    ),
    "reason.GroupsNotNested": (
        "A group cannot be a member of a group.",
        "Un groupe ne peut pas être membre d’un groupe.",
    ),
    "reason.MembershipFromProvider": (
        "The identity provider says who is in this group.",
        "C’est le fournisseur d’identité qui dit qui est dans ce groupe.",
    ),
    "way.MembershipFromProvider": (
        "Change it there.",
        "Modifiez-le chez lui.",
    ),
    "reason.ServicePrincipalNotFound": (
        "There is no such service principal.",
        "Ce principal de service n’existe pas.",
    ),
    "reason.NameReserved": ("This name is reserved.", "Ce nom est réservé."),
    "reason.TooManyCredentials": (
        "It can have no more credentials.",
        "Il ne peut pas avoir plus d’informations d’identification.",
    ),
    "way.TooManyCredentials": (
        "Remove one that is no longer used.",
        "Supprimez-en une qui ne sert plus.",
    ),
    "reason.InvalidExpiry": (
        "The end of a credential lies in the future and not too far away.",
        "L’échéance d’une information d’identification est dans le futur, et pas trop lointaine.",
    ),
    "reason.RoleAssignmentExists": (
        "This role is assigned like that already.",
        "Ce rôle est déjà attribué ainsi.",
    ),
    "reason.RoleAssignmentNotFound": (
        "There is no such role assignment (any more).",
        "Cette attribution de rôle n’existe pas (ou plus).",
    ),
    "reason.RoleAssignmentUpdateNotPermitted": (
        "A role assignment cannot be changed.",
        "Une attribution de rôle ne peut pas être modifiée.",
    ),
    "way.RoleAssignmentUpdateNotPermitted": (
        "Remove it and add another.",
        "Supprimez-la et ajoutez-en une autre.",
    ),
    "reason.RoleDefinitionDoesNotExist": ("There is no such role.", "Ce rôle n’existe pas."),
    "reason.RoleDefinitionHasAssignments": (
        "The role is assigned; it cannot be deleted.",
        "Le rôle est attribué ; il ne peut pas être supprimé.",
    ),
    "way.RoleDefinitionHasAssignments": (
        "Remove its assignments first.",
        "Supprimez d’abord ses attributions.",
    ),
    "reason.RoleDefinitionIsBuiltIn": (
        "A built-in role cannot be changed or deleted.",
        "Un rôle intégré ne peut être ni modifié ni supprimé.",
    ),
    "reason.RoleDefinitionNotAssignable": (
        "The role cannot be assigned at this scope.",
        "Le rôle ne peut pas être attribué à cette étendue.",
    ),
    "reason.RoleDefinitionWithSameNameExists": (
        "Another role has this name already.",
        "Un autre rôle porte déjà ce nom.",
    ),
    "reason.InvalidRoleName": (
        "This cannot be a role’s name.",
        "Ce ne peut pas être un nom de rôle.",
    ),
    "reason.InvalidRoleDescription": (
        "The description is too long.",
        "La description est trop longue.",
    ),
    "reason.InvalidActionOrNotAction": (
        "This is not an action.",
        "Ce n’est pas une action.",
    ),
    "reason.InvalidAssignableScopes": (
        "The assignable scopes are missing or too many.",
        "Les étendues attribuables manquent ou sont trop nombreuses.",
    ),
    "reason.MissingActions": (
        "A role without an action allows nothing.",
        "Un rôle sans action n’autorise rien.",
    ),
    "reason.TooManyActions": ("The role has too many actions.", "Le rôle a trop d’actions."),
    "reason.InvalidScope": ("This is not a scope.", "Ce n’est pas une étendue."),
    "reason.ScopeNotFound": (
        "There is no such machine or policy.",
        "Cette machine ou cette stratégie n’existe pas.",
    ),
    "reason.LinkedAuthorizationFailed": (
        "A right is missing at another machine that this names.",
        "Il vous manque un droit sur une autre machine mentionnée ici.",
    ),
    "reason.IdentityTaken": (
        "This external identity belongs to somebody already.",
        "Cette identité externe appartient déjà à quelqu’un.",
    ),
    "reason.InvitationTaken": (
        "Somebody is invited by this address already.",
        "Quelqu’un est déjà invité avec cette adresse.",
    ),
    "reason.InvalidEmail": (
        "This is not an e-mail address that may be used here.",
        "Ce n’est pas une adresse e-mail utilisable ici.",
    ),
    "reason.InvalidSubject": (
        "This is not a provider’s own id of a person.",
        "Ce n’est pas l’identifiant d’une personne chez un fournisseur.",
    ),
    "reason.TooManyIdentities": (
        "This user has the most external identities that there may be.",
        "Cet utilisateur a le nombre maximal d’identités externes.",
    ),
    "reason.InvalidProvider": (
        "These settings of an identity provider cannot be used.",
        "Ces paramètres d’un fournisseur d’identité ne sont pas utilisables.",
    ),
    "reason.IssuerIsFixed": (
        "The issuer of a provider cannot be changed.",
        "L’émetteur d’un fournisseur ne peut pas être modifié.",
    ),
    "reason.IssuerTaken": (
        "This issuer is set up already.",
        "Cet émetteur est déjà configuré.",
    ),
    "reason.ProviderNotFound": (
        "There is no such identity provider.",
        "Ce fournisseur d’identité n’existe pas.",
    ),
    "reason.ProviderUnavailable": (
        "The identity provider does not answer as it should.",
        "Le fournisseur d’identité ne répond pas comme il le devrait.",
    ),
    "way.ProviderUnavailable": (
        "Try again, or look at its settings.",
        "Réessayez, ou vérifiez ses paramètres.",
    ),
    "reason.TooManyProviders": (
        "There may not be more identity providers.",
        "Il ne peut pas y avoir plus de fournisseurs d’identité.",
    ),
    "reason.ExternalSignInRefused": (
        "The sign-in at the identity provider did not succeed.",
        "La connexion chez le fournisseur d’identité n’a pas abouti.",
    ),
    "reason.InvalidCertificate": (
        "This certificate cannot be used.",
        "Ce certificat n’est pas utilisable.",
    ),
    "reason.InvalidUrl": ("This is not an https address.", "Ce n’est pas une adresse https."),
    "way.WrongCode": (
        "Take the code that the app shows now.",
        "Prenez le code que l’application affiche maintenant.",
    ),
    "way.NoEnrolment": ("Begin again.", "Recommencez."),
    "way.InvalidTicket": ("Begin again.", "Recommencez."),
    "reason.InvalidPasskey": (
        "This passkey cannot be used.",
        "Cette clé d’accès n’est pas utilisable.",
    ),
    "reason.PasskeysNotOffered": (
        "Passkeys need a name, and this server was reached by an address.",
        "Les clés d’accès exigent un nom, et ce serveur n’a qu’une adresse.",
    ),
}

# -- the record, sinks, and what is general ----------------------------------------------------

_OTHERS: Mapping[str, Pair] = {
    "reason.InvalidDate": ("This date cannot be used.", "Cette date n’est pas utilisable."),
    "reason.NothingToPrune": (
        "Nothing of the record is old enough to be deleted.",
        "Rien dans le journal n’est assez ancien pour être supprimé.",
    ),
    "reason.InvalidEventKind": (
        "There is no such kind of event.",
        "Ce type d’événement n’existe pas.",
    ),
    "reason.InvalidPosition": (
        "There is no such place in the record.",
        "Cette position n’existe pas dans le journal.",
    ),
    "reason.InvalidSink": (
        "These settings of a destination cannot be used.",
        "Ces paramètres d’une destination ne sont pas utilisables.",
    ),
    "reason.InvalidSinkFormat": (
        "This destination does not take that format.",
        "Cette destination n’accepte pas ce format.",
    ),
    "reason.InvalidSinkLevel": ("There is no such level.", "Ce niveau n’existe pas."),
    "reason.InvalidSinkTarget": (
        "The record cannot be sent there.",
        "Le journal ne peut pas y être envoyé.",
    ),
    "reason.SinkHasNoSecret": (
        "Only a webhook has a secret.",
        "Seul un webhook a un secret.",
    ),
    "reason.SinkNotFound": (
        "There is no such destination.",
        "Cette destination n’existe pas.",
    ),
    "reason.SinkNotParked": (
        "The destination waits for nothing.",
        "La destination n’attend rien.",
    ),
    "reason.TooManySinks": (
        "There may not be more destinations.",
        "Il ne peut pas y avoir plus de destinations.",
    ),
    "reason.MissingField": ("A field is missing.", "Un champ manque."),
    "reason.InvalidFilter": (
        "This filter is not one of those that there are.",
        "Ce filtre n’est pas l’un de ceux qui existent.",
    ),
    "reason.InvalidSkipToken": (
        "This is no place in the list.",
        "Ce n’est pas une position dans la liste.",
    ),
    "way.InvalidSkipToken": ("Begin at its start.", "Reprenez au début."),
    "reason.InvalidRequestContent": (
        "What was entered cannot be used.",
        "Ce qui a été saisi n’est pas utilisable.",
    ),
    "reason.ResourceNotFound": (
        "It is not there (any more).",
        "L’élément n’existe pas (ou plus).",
    ),
    "reason.Conflict": (
        "The state of things does not permit it.",
        "L’état actuel ne le permet pas.",
    ),
    "reason.PreconditionFailed": (
        "It was changed by somebody else in the meantime.",
        "Quelqu’un d’autre l’a modifié entre-temps.",
    ),
    "way.PreconditionFailed": (
        "Load the page anew; what you entered can be entered again.",
        "Rechargez la page ; ce que vous avez saisi peut être saisi à nouveau.",
    ),
    "reason.TooManyRequests": (
        "These were too many attempts in a short time.",
        "Il y a eu trop de tentatives en peu de temps.",
    ),
    "way.TooManyRequests": ("Wait a little and try again.", "Attendez un peu et réessayez."),
    "reason.ServiceUnavailable": (
        "The database cannot be reached; what is open still ends on time.",
        "La base de données est injoignable ; ce qui est ouvert se ferme tout de même à l’heure.",
    ),
    "way.ServiceUnavailable": ("Try again in a moment.", "Réessayez dans un instant."),
    "reason.EnforcementFailed": (
        "The firewall answered otherwise than it should.",
        "Le pare-feu n’a pas répondu comme il le devrait.",
    ),
    "reason.MisdirectedRequest": (
        "This is not a name of this server.",
        "Ce n’est pas un nom de ce serveur.",
    ),
}

WORDS: Mapping[str, Pair] = {**_REQUESTS, **_POLICIES, **_ACCESS, **_OTHERS}
