#!/usr/bin/env bash
# From a folder of images and masks to masks of images that have none. Usage: own_data.sh FOLDER [SHOTS] [IMAGE...]
# Without a folder it makes one with generated photographs of the retina, so that you can see it work first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
samtune=$here/bin/samtune
[ -x "$samtune" ] || make -C "$here" --no-print-directory build

folder=${1:-eyes} shots=${2:-5}
[ -d "$folder" ] || "$samtune" data export fundus --out "$folder"
name=$(basename "$folder" | tr 'A-Z ' 'a-z_') declaration=$(basename "$folder" | tr 'A-Z ' 'a-z_').toml

# A guess at what is what: read it, correct it, and start this script again.
[ -f "$declaration" ] || "$samtune" data init "$folder" --name "$name" --out "$declaration"
"$samtune" data check "$declaration"   # stops here when something is wrong with a file
"$samtune" data preview "$declaration" # a sheet with the outlines of the masks
"$samtune" finetune --benchmark "$declaration" --shots "$shots" --out "runs/$name-$shots"
[ $# -lt 3 ] || "$samtune" predict --checkpoint "runs/$name-$shots" --out masks "${@:3}"
