#!/usr/bin/env bash
# The experiment behind samtune in small: zero-shot SAM against SAM fine-tuned on 1, 3 and 5 images, two draws each, with the mask decoder (the study's
# method) and with the convex head, on generated photographs of the retina. Needs no data; about ten minutes on two cores. Usage: study.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-study}
samtune=$here/bin/samtune
[ -x "$samtune" ] || make -C "$here" --no-print-directory build

"$samtune" sweep --benchmark fundus --decoders plain,linear --shots 1,3,5 --seeds 2 --set views.grid=1 --set head.scales=[1] --out "$out"
echo "open $out/report.html; every run's own report is below $out/runs"
