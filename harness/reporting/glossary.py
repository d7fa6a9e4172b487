"""How to read the page: the words it uses, in its own order."""

TERMS: tuple[tuple[str, str], ...] = (
    ("Baseline", "the cell all others are compared with; by default 50 steps, FP16 (FP32 without native FP16), eager."),
    ("Cell", "one combination of axis values, run in a process of its own."),
    ("Latency", "one call of the whole pipeline, text in and images out: the median of the timed calls, without the "
                "blocks that were still warming up, which are shown all the same."),
    ("Block", "calls timed one right after the other in one process, with the state of the machine meanwhile. Blocks "
              "alternate with the baseline’s: baseline, cell, cell, baseline is a group."),
    ("Seconds per image", "latency divided by the images of a call: what the chart and the speedup compare."),
    ("Speedup", "seconds per image of the baseline ÷ of the cell, compared group by group, so that what slows both "
                "cancels; its interval comes from how much the groups differ."),
    ("Timing precision", "half the width of the speedup’s interval ÷ the speedup; blocks are taken until it is what "
                         "the matrix asks for (measure.precision), or the time is up."),
    ("Sandwiched", "cell and baseline do not fit into memory together: the baseline was timed before and after the "
                   "cell, and the drift between is taken out and shown."),
    ("Throttled", "heat or its supply slowed the device down (a power cap it always works at is none of it); such a "
                  "block is timed once more, and both are kept."),
    ("A/A check", "the baseline timed against itself, a process of its own, like any cell: the interval of its speedup "
                  "must hold 1.00×."),
    ("Idle", "time of a traced call in which the device had nothing to do."),
    ("Unprofiled", "a cell without a trace: how fast it is is known, but not why."),
    ("Cost per image", "the price of the seconds it takes, and of its electricity where that has a price, by [prices] "
                       "of the matrix."),
    ("Loss", "calibrated: 0 % is a rerun of the baseline, 100 % is destroyed (another prompt’s picture, or another "
             "seed’s). Literal: the relative change of the raw score; positive is worse."),
    ("Worst loss", "the loss that uses most of its margin, among the metrics that gate the cell."),
    ("Policy", "the rules a cell must keep to ship: limits on losses, changes, scores, tails, speed, memory, energy, "
               "cost, and on how well it was measured."),
    ("Margin", "the loss from which on a cell may not ship; each rule has its own."),
    ("Pass", "every rule is surely kept: of a loss, its upper confidence bound is below the margin."),
    ("Fail", "a rule is surely not kept: of a loss, its lower bound is at or above the margin."),
    ("Inconclusive", "neither is sure: more prompts, or more measuring time, would settle it. It is not a pass."),
    ("Look", "in an adaptive run, a number of prompts at which verdicts may be settled; bounds are wider for it."),
    ("Figure missing", "something that the policy judges was not measured: a score, a trace … It is not a pass."),
    ("Paired metric", "compares the same prompt and noise image by image (LPIPS, PSNR, SSIM); it gates only cells that "
                      "keep the baseline’s denoising trajectory."),
    ("Correctness metric", "the share of what a prompt asks for that its picture shows (attributes, VQA, GenEval)."),
    ("Alignment metric", "how well pictures fit their prompts (CLIP score)."),
    ("Prompt-wise metric", "compares each picture with the baseline’s of the same prompt at another seed, so it may "
                           "gate cells that draw other pictures (odd-pictures)."),
    ("Distribution metric", "how far two sets of pictures are apart (FID, KID, CMMD), in either direction."),
    ("Damage ladder", "the baseline’s own pictures, damaged by known doses and judged like a cell: it shows what the "
                      "metrics of this run would not notice."),
    ("Blind", "a metric that no damage moves at this number of images, or a verdict whose metrics would let a damage "
              "through that the policy names: the pass does not count."),
    ("Pareto front", "cells that no other cell beats in both speed and loss; its probability comes from drawing times "
                     "and worst losses many times from what is known of them."),
    ("Cold start", "from nothing to the first image: process, load, settings, compile, first call."),
    ("Build and compile", "what applying a cell’s settings, building its engine and compiling take from nothing; "
                          "never part of the latency."),
    ("Break-even images", "images after which that cost is won back by faster images: against the same cell run "
                          "eagerly where there is one, else against the baseline."),
    ("[low, high]", "a two-sided 95 % confidence interval; verdicts use one-sided bounds at the confidence above."),
)  # fmt: skip
"""Terms and what they mean on this page."""
