"""Commands that sign a run off, and verify what was signed."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app, leave
from harness.cli.arguments import Json, PolicyName, Results, Select

KeyFile = Annotated[
    Path | None, typer.Option("--key", metavar="KEY", help="The private key that signs.")
]
PublicKey = Annotated[
    Path | None,
    typer.Option("--key", metavar="PUB", help="The signer's public key; else the bundle's own."),
]
NewKey = Annotated[
    Path | None,
    typer.Option("--new-key", metavar="FILE", help="Only make a key: FILE, and FILE.pub to share."),
]
BundleOut = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="The bundle; default: bundles/<run>_<policy>.zip."),
]
Deployed = Annotated[
    Path | None,
    typer.Option("--deployed", metavar="FOLDER", help="Compare this folder with what was signed."),
]


Keyless = Annotated[
    bool,
    typer.Option("--keyless", help="Sign with your identity, by Sigstore; needs the network."),
]
IdentityName = Annotated[
    str, typer.Option("--identity", help="Who signed without a key: an e-mail or a workflow.")
]
IssuerUrl = Annotated[str, typer.Option("--issuer", help="Who vouched for that identity: a URL.")]


@app.command()
def sign(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run.")] = "",
    key: KeyFile = None,
    policy: Annotated[
        str, typer.Option("--policy", help="Judge by this policy: a shipped one or a .toml file.")
    ] = "sign-off",
    select: Select = None,
    out: BundleOut = None,
    new_key: NewKey = None,
    keyless: Keyless = False,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Sign the cells of a finished run that pass.

    Exit codes: 1 no cell passes, 6 a verdict is missing or inconclusive and not waived.
    """
    from harness import api, sign_off
    from harness.cli import signing_view
    from harness.core.errors import UsageError

    if new_key is not None:
        return signing_view.show_key(new_key, sign_off.new_key(new_key), json)
    if not run or (key is None) != keyless:
        fix = "Write: harness sign RUN --key KEY. A new key: harness sign --new-key FILE"
        raise UsageError("signing needs a run and one key", "--key" if run else "RUN", fix)
    wanted = sign_off.Wanted(policy, tuple(select or ()), out)
    signing_view.show_signed(sign_off.sign(api.find(Path(run), results), key, wanted), json)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The file of harness sign.")],
    key: PublicKey = None,
    policy: PolicyName = None,
    deployed: Deployed = None,
    identity: IdentityName = "",
    issuer: IssuerUrl = "",
    json: Json = False,
) -> None:
    """Check a signed bundle, and judge its scores again.

    Exit codes: 1 expired, another policy, or something else is deployed; 7 damaged or not signed by
    this key.
    """
    from harness import sign_off
    from harness.cli import signing_view
    from harness.core.errors import UsageError
    from harness.signing import SignerIdentity

    if bool(identity) != bool(issuer) or (identity and key):
        fix = "Name both, or the signer's key with --key PUB."
        raise UsageError("an identity is named with its issuer", "--identity", fix)
    signer = SignerIdentity(identity, issuer) if identity else key
    found = sign_off.verify(bundle, key=signer, policy=policy, deployed=deployed)
    leave(signing_view.show_verification(found, json))
