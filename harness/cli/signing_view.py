"""What signing and verifying print: cells, waivers in red, and every reason to refuse a bundle."""

from pathlib import Path

from harness import sign_off
from harness.cli.console import COLOURS, err, out, show_json, show_waivers
from harness.core.errors import ExitCode
from harness.core.sign_off import SignOff
from harness.core.units import plural
from harness.signing import Verification


def show_key(private: Path, public: Path, json: bool) -> None:
    """Print where a new key is, and which half is secret."""
    if json:
        return show_json({"private": str(private), "public": str(public)})
    out.print(f"{private}: keep it secret; it signs", markup=False)
    out.print(f"{public}: share it; it verifies", markup=False)


def show_signed(signed: sign_off.Signed, json: bool) -> None:
    """Print what a new bundle states."""
    if json:
        return show_json(
            {
                "bundle": str(signed.path),
                "sha256": signed.sha256,
                **signed.sign_off.model_dump(mode="json"),
            }
        )
    _show_statement(signed.sign_off)
    out.print(f"\n{signed.path}", markup=False)


def show_verification(found: Verification, json: bool) -> int:
    """Print what a bundle states and each reason to refuse it; return the exit code."""
    code = _exit_code(found)
    if json:
        show_json({**found.model_dump(mode="json"), "verified": not found.refusals})
        return code
    if found.sign_off is not None and found.is_sound:
        _show_statement(found.sign_off)
        _show_origin(found)
    for refusal in found.refusals:
        err.print(f"[bold red]refused[/] {refusal.kind}: ", end="")
        err.print(f"{refusal.where}: {refusal.what}", markup=False)
    if not found.refusals:
        out.print("\nverified", style="bold green")
    return code


def _exit_code(found: Verification) -> int:
    if not found.refusals:
        return ExitCode.PASS
    return ExitCode.GATE_FAILED if found.is_sound else ExitCode.RESULTS


def _show_statement(stated: SignOff) -> None:
    for cell_id, result in sorted(
        stated.verdicts.items(), key=lambda one: one[0] not in stated.cells
    ):
        word = "signed" if cell_id in stated.cells else result
        colour = COLOURS["pass" if cell_id in stated.cells else result]
        out.print(f"[{colour}]{word:>12}[/]  {cell_id}", style="bold")
    show_waivers(stated.waivers)
    out.print(
        f"policy {stated.policy.name}, {stated.model} ({stated.model_digest[:12]}), signed on "
        f"{stated.signed_on}, valid until {stated.expires_on}",
        style="dim",
        markup=False,
    )
    out.print(
        f"{plural(stated.images, 'image')} by their digests, {stated.images_checked:,} compared "
        f"with files at signing; {plural(len(stated.members), 'member')}",
        style="dim",
        markup=False,
    )


def _show_origin(found: Verification) -> None:
    who = f"signed by {found.signer}"
    if found.known_signer:
        out.print(f"{who}, as demanded", style="dim", markup=False)
    else:
        out.print(f"{who}: the bundle's own key; name the signer's with --key", style="yellow")
    policy = found.sign_off.policy if found.sign_off else None
    if policy and sign_off.is_shipped_policy(policy.name, policy.file_sha256) is False:
        what = f"the policy is not the one that ships as {policy.name} in this version"
        out.print(what, style="yellow", markup=False)
    if found.deployed:
        out.print(f"compared with the deployment of {found.deployed}", style="dim", markup=False)
