package guess

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"samtune/data"
)

// want is what is to be found in a folder.
type want struct {
	engine, image, valid, patient, second string
	masks                                 []string
	targets                               []string // name: rule
	pool, test                            int
	testImage                             string
	window                                string
	partial                               bool
	others                                int
}

// TestLook writes folders as people have them, looks at them, and opens what is written for them.
func TestLook(t *testing.T) {
	for name, c := range map[string]struct {
		write func(f folder)
		want  want
	}{
		"two folders": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("images/eye%d.jpg", i), photo(i))
				f.put(fmt.Sprintf("masks/eye%d.png", i), mask(i, 255))
			}
		}, want{engine: "pairs", image: "images/{id}.jpg", masks: []string{"masks/{id}.png"}, targets: []string{"target: "}, pool: 3, test: 3}},
		"masks as JPEG": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("images/eye%d.jpg", i), photo(i))
				f.put(fmt.Sprintf("masks/eye%d.jpg", i), mask(i, 255))
			}
		}, want{engine: "pairs", image: "images/{id}.jpg", masks: []string{"masks/{id}.jpg"}, targets: []string{"target: "}, pool: 3, test: 3}},
		"side by side": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("case%d.png", i), photo(i))
				f.put(fmt.Sprintf("case%d_polyp_mask.png", i), mask(i, 1))
			}
			f.put("case9.png", photo(9)) // has no mask
		}, want{engine: "pairs", image: "{id}.png", masks: []string{"{id}_polyp_mask.png"}, targets: []string{"polyp: at_least = 1"}, pool: 3, test: 3, partial: true}},
		"affixes on both": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("frames/img_%03d_orig.png", i), photo(i))
				f.put(fmt.Sprintf("truth/seg_%03d_gt.png", i), mask(i, 200))
			}
		}, want{engine: "pairs", image: "frames/img_{id}_orig.png", masks: []string{"truth/seg_{id}_gt.png"}, targets: []string{"target: "}, pool: 3, test: 3}},
		"a folder for each case": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("IMD%03d/IMD%03d_Image/IMD%03d.png", i, i, i), photo(i))
				f.put(fmt.Sprintf("IMD%03d/IMD%03d_lesion/IMD%03d_lesion.png", i, i, i), mask(i, 255))
			}
		}, want{engine: "pairs", image: "{id}/{id}_Image/{id}.png", masks: []string{"{id}/{id}_lesion/{id}_lesion.png"}, targets: []string{"lesion: "}, pool: 3, test: 3}},
		"nested by patient": {func(f folder) {
			for i := range 12 {
				f.put(fmt.Sprintf("patient_%02d/images/%d.png", i/3, i%3), photo(i))
				f.put(fmt.Sprintf("patient_%02d/masks/%d.png", i/3, i%3), mask(i, 255))
			}
		}, want{engine: "pairs", image: "{set}/images/{id}.png", masks: []string{"{set}/masks/{id}.png"}, targets: []string{"target: "}, pool: 6, test: 6, patient: "^(.+?)__"}},
		"patients in the names": {func(f folder) {
			for i := range 12 {
				f.put(fmt.Sprintf("images/p%02d_%03d.png", i/4, i%4), photo(i))
				f.put(fmt.Sprintf("labels/p%02d_%03d.png", i/4, i%4), mask(i, 255))
			}
		}, want{engine: "pairs", image: "images/{id}.png", masks: []string{"labels/{id}.png"}, targets: []string{"target: "}, pool: 8, test: 4,
			patient: `^(.*\d.*?)[_-](?:slice|frame|image|img|s|f|z)?[_-]?\d+$`}},
		"training and test": {func(f folder) {
			for i := range 4 {
				f.put(fmt.Sprintf("train/images/%d.png", i), photo(i))
				f.put(fmt.Sprintf("train/masks/%d.png", i), mask(i, 255))
				f.put(fmt.Sprintf("test/images/%d.png", i), photo(i+50))
				f.put(fmt.Sprintf("test/masks/%d.png", i), mask(i+50, 255))
			}
		}, want{engine: "pairs", image: "train/images/{id}.png", masks: []string{"train/masks/{id}.png"}, targets: []string{"target: "}, pool: 4, test: 4, testImage: "test/images/{id}.png"}},
		"sides in the folders' names": {func(f folder) {
			for i := range 4 {
				f.put(fmt.Sprintf("train/a%d.png", i), photo(i))
				f.put(fmt.Sprintf("train_labels/a%d.png", i), mask(i, 255))
				f.put(fmt.Sprintf("val/b%d.png", i), photo(i+50))
				f.put(fmt.Sprintf("val_labels/b%d.png", i), mask(i+50, 255))
			}
		}, want{engine: "pairs", image: "train/{id}.png", masks: []string{"train_labels/{id}.png"}, targets: []string{"target: "}, pool: 4, test: 4, testImage: "val/{id}.png"}},
		"DRIVE": {func(f folder) {
			field := func(x, y int) bool { return (x-24)*(x-24)+(y-24)*(y-24) < 22*22 }
			for i := range 3 {
				for side, first := range map[string]int{"training": 21, "test": 1} {
					dark := image.NewRGBA(image.Rect(0, 0, size, size))
					for y := range size {
						for x := range size {
							if field(x, y) {
								dark.Set(x, y, photo(first+i).At(x, y))
							} else {
								dark.Set(x, y, color.RGBA{2, uint8(x % 3), 1, 255})
							}
						}
					}
					f.put(fmt.Sprintf("%s/images/%02d_%s.png", side, first+i, side), dark)
					f.put(fmt.Sprintf("%s/1st_manual/%02d_manual1.gif", side, first+i), mask(first+i, 255))
					f.put(fmt.Sprintf("%s/mask/%02d_%s_mask.gif", side, first+i, side), grey(func(x, y int) uint8 { return map[bool]uint8{true: 255}[field(x, y)] }))
					if side == "test" {
						f.put(fmt.Sprintf("%s/2nd_manual/%02d_manual2.gif", side, first+i), mask(first+i+1, 255))
					}
				}
			}
		}, want{engine: "pairs", image: "training/images/{id}_training.png", masks: []string{"training/1st_manual/{id}_manual1.gif"}, targets: []string{"target: "},
			valid: "training/mask/{id}_training_mask.gif", pool: 3, test: 3, testImage: "test/images/{id}_test.png", second: "test/2nd_manual/{id}_manual2.gif"}},
		"several grey labels": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("images/%d.png", i), photo(i))
				f.put(fmt.Sprintf("masks/%d.png", i), labels(i, 2, 5))
			}
		}, want{engine: "pairs", image: "images/{id}.png", masks: []string{"masks/{id}.png"}, targets: []string{"label_1: values = [2]", "label_2: values = [5]"}, pool: 3, test: 3}},
		"bright background": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("images/%d.png", i), photo(i))
				f.put(fmt.Sprintf("masks/%d.png", i), grey(func(x, y int) uint8 {
					return map[bool]uint8{true: 0, false: 255}[blob(x, y, i)]
				}))
			}
		}, want{engine: "pairs", image: "images/{id}.png", masks: []string{"masks/{id}.png"}, targets: []string{"target: values = [0]"}, pool: 3, test: 3}},
		"colours": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("images/%d.png", i), photo(i))
				m := image.NewRGBA(image.Rect(0, 0, size, size))
				for y := range size {
					for x := range size {
						c := color.RGBA{A: 255}
						switch {
						case blob(x, y, i):
							c.R = 255
						case blob(x, y-8, i):
							c.G = 255
						}
						m.Set(x, y, c)
					}
				}
				f.put(fmt.Sprintf("masks/%d.png", i), m)
			}
		}, want{engine: "pairs", image: "images/{id}.png", masks: []string{"masks/{id}.png"}, targets: []string{"label_1: colours = [[255, 0, 0]]", "label_2: colours = [[0, 255, 0]]"}, pool: 3, test: 3}},
		"outlines": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("%03d_HC.png", i), photo(i))
				f.put(fmt.Sprintf("%03d_HC_Annotation.png", i), grey(func(x, y int) uint8 {
					edge := blob(x, y, i) && !(blob(x-1, y, i) && blob(x+1, y, i) && blob(x, y-1, i) && blob(x, y+1, i))
					return map[bool]uint8{true: 255}[edge]
				}))
			}
		}, want{engine: "pairs", image: "{id}_HC.png", masks: []string{"{id}_HC_Annotation.png"}, targets: []string{"hc: fill = true"}, pool: 3, test: 3}},
		"soft maps of two targets": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("Images/d_%03d.png", i), photo(i))
				for k, what := range []string{"OD", "cup"} {
					f.put(fmt.Sprintf("GT/d_%03d/SoftMap/d_%03d_%ssegSoftmap.png", i, i, what), grey(func(x, y int) uint8 {
						n := 0
						for r := range 4 {
							if dx, dy := x-20, y-22; dx*dx+dy*dy < (14-6*k-r)*(14-6*k-r) {
								n++
							}
						}
						return []uint8{0, 64, 128, 191, 255}[n]
					}))
				}
			}
		}, want{engine: "pairs", image: "Images/{id}.png", masks: []string{"GT/{id}/SoftMap/{id}_ODsegSoftmap.png", "GT/{id}/SoftMap/{id}_cupsegSoftmap.png"},
			targets: []string{"od: at_least = 128", "cup: at_least = 128"}, pool: 3, test: 3}},
		"pieces with values of their own, patients in a table": {func(f folder) {
			table := "name,subject\n"
			for i := range 8 {
				f.put(fmt.Sprintf("img/img_%d.png", i), photo(i))
				f.put(fmt.Sprintf("annotation/img_%d.png", i), grey(func(x, y int) uint8 {
					if k := x / 12; x%12 < 6 && y > 10 && y < 20 && k <= i%4 {
						return uint8(255 - k)
					}
					return 0
				}))
				table += fmt.Sprintf("img_%d.png,%d\n", i, i/2)
			}
			f.write("index.csv", []byte(table))
		}, want{engine: "pairs", image: "img/{id}.png", masks: []string{"annotation/{id}.png"}, targets: []string{"target: at_least = 1"}, pool: 4, test: 4, patient: "index.csv"}},
		"16 bits": {func(f folder) {
			for i := range 6 {
				img := image.NewGray16(image.Rect(0, 0, size, size))
				for y := range size {
					for x := range size {
						v := 1000 + (x*37+y*53+i*71)%900
						if blob(x, y, i) {
							v += 2000
						}
						img.SetGray16(x, y, color.Gray16{Y: uint16(v)})
					}
				}
				f.put(fmt.Sprintf("images/%d.png", i), img)
				f.put(fmt.Sprintf("masks/%d.png", i), mask(i, 255))
			}
		}, want{engine: "pairs", image: "images/{id}.png", masks: []string{"masks/{id}.png"}, targets: []string{"target: "}, pool: 3, test: 3, window: "percentiles = [0.5, 99.5]"}},
		"Decathlon": {func(f folder) {
			for i := range 4 {
				f.nifti(fmt.Sprintf("imagesTr/liver_%d.nii", i), 5, ct(i))
				f.nifti(fmt.Sprintf("labelsTr/liver_%d.nii", i), 5, segmentation(i))
			}
			f.nifti("imagesTs/liver_9.nii", 5, ct(9))
			f.write("dataset.json", []byte(`{"labels": {"0": "background", "1": "Liver", "2": "tumour core"}}`))
		}, want{engine: "volumes", image: "imagesTr/{id}.nii", masks: []string{"labelsTr/{id}.nii"}, targets: []string{"liver: values = [1]", "tumour_core: values = [2]"},
			pool: 8, test: 8, window: "window = [-160, 240]"}},
		"nnU-Net": {func(f folder) {
			for i := range 4 {
				f.nifti(fmt.Sprintf("imagesTr/case_%03d_0000.nii", i), 5, ct(i))
				f.nifti(fmt.Sprintf("imagesTr/case_%03d_0001.nii", i), 5, ct(i+9))
				f.nifti(fmt.Sprintf("labelsTr/case_%03d.nii", i), 5, segmentation(i))
			}
			f.write("dataset.json", []byte(`{"labels": {"background": 0, "organ": 1, "lesion": 2}, "channel_names": {"0": "CT", "1": "PET"}}`))
		}, want{engine: "volumes", image: "imagesTr/{id}_0000.nii", masks: []string{"labelsTr/{id}.nii"}, targets: []string{"organ: values = [1]", "lesion: values = [2]"},
			pool: 8, test: 8, window: "window = [-160, 240]"}},
		"volumes by patient": {func(f folder) {
			for i := range 4 {
				for k := range 2 {
					frame := 1 + k*(7+i)
					f.nifti(fmt.Sprintf("training/patient%03d/patient%03d_frame%02d.nii", i, i, frame), 5, ct(2*i+k))
					f.nifti(fmt.Sprintf("training/patient%03d/patient%03d_frame%02d_gt.nii", i, i, frame), 5, segmentation(2*i+k))
				}
			}
		}, want{engine: "volumes", image: "training/{set}/{id}.nii", masks: []string{"training/{set}/{id}_gt.nii"}, targets: []string{"label_1: values = [1]", "label_2: values = [2]"},
			pool: 16, test: 16, patient: `^(patient\d+)`, partial: true, window: "window = [-160, 240]"}},
		"two data sets": {func(f folder) {
			for i := range 6 {
				f.put(fmt.Sprintf("setA/photos/a%d.png", i), photo(i))
				f.put(fmt.Sprintf("setA/left_mask/a%d.png", i), mask(i, 255))
				f.put(fmt.Sprintf("setA/right_mask/a%d.png", i), mask(i+3, 255))
				if i < 4 {
					f.put(fmt.Sprintf("setB/photos/b%d.png", i), photo(i+20))
					f.put(fmt.Sprintf("setB/mask/b%d_mask.png", i), mask(i+20, 255))
				}
			}
		}, want{engine: "pairs", image: "setA/photos/{id}.png", masks: []string{"setA/left_mask/{id}.png", "setA/right_mask/{id}.png"},
			targets: []string{"left: ", "right: "}, pool: 3, test: 3, others: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			c.write(folder{t, dir})
			g, err := Look(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := want{engine: g.Engine, image: g.Pool.Image, valid: g.Pool.Valid, masks: g.Pool.Masks, partial: g.Pool.Partial, others: len(g.Others)}
			got.window, _, _ = strings.Cut(g.Window, " #")
			if got.patient = g.Patient.ID; g.Patient.Table != "" {
				got.patient = g.Patient.Table
			}
			for _, target := range g.Targets {
				got.targets = append(got.targets, target.Name+": "+target.Rule)
			}
			if g.Test != nil {
				got.testImage, got.second = g.Test.Image, g.Test.Second
			}
			text := g.TOML("my_data", "data")
			d, err := data.ParseOwn(filepath.Join(filepath.Dir(dir), "my.toml"), text)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			b, err := d.Open(data.Options{})
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			got.pool, got.test = len(b.Pool), len(b.Test)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v\nwant\n%+v\n%s", got, c.want, text)
			}
			for _, c := range slices.Concat(b.Pool, b.Test) {
				s, err := c.Load()
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, m := range s.Masks {
					n += m.Count()
				}
				if n == 0 {
					t.Errorf("%s has nothing in its masks", c.ID)
				}
			}
		})
	}
}

func TestLookAtTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	f := folder{t, dir} // with nothing but the table: the files are elsewhere
	table := "id,path,vessel_mask,fov,patient_id,split\n"
	for i := range 9 {
		f.put(fmt.Sprintf("../files/%c1.png", 'a'+i), photo(i))
		f.put(fmt.Sprintf("../files/%c2.png", 'a'+i), mask(i, 255))
		f.put(fmt.Sprintf("../files/%c3.png", 'a'+i), grey(func(x, y int) uint8 { return 255 }))
		table += fmt.Sprintf("eye%d,../../files/%c1.png,../../files/%c2.png,../../files/%c3.png,p%d,%s\n", i, 'a'+i, 'a'+i, 'a'+i, i, []string{"train", "val", "test"}[i%3])
	}
	f.write("lists/cases.csv", []byte(table))
	g, err := Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	if g.Engine != "table" || g.Table.Image != "path" || !slices.Equal(g.Table.Masks, []string{"vessel_mask"}) || g.Table.Valid != "fov" || g.Table.Patient != "patient_id" ||
		g.Table.ID != "id" || g.Table.Split != "split" || g.Targets[0].Name != "vessel" {
		t.Errorf("%+v %+v", g.Table, g.Targets)
	}
	text := g.TOML("my_data", "data")
	d, err := data.ParseOwn(filepath.Join(filepath.Dir(dir), "my.toml"), text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Open(data.Options{})
	if err != nil || len(b.Pool) != 3 || len(b.Test) != 3 {
		t.Errorf("%+v, %v in\n%s", b, err, text)
	}
}

// TestUnclear: what can't be worked out is said, with what lies there.
func TestUnclear(t *testing.T) {
	for name, write := range map[string]func(f folder){
		"nothing":        func(f folder) { f.write("notes.txt", []byte("notes")) },
		"images alone":   func(f folder) { f.put("a.png", photo(1)); f.put("b.png", photo(2)) },
		"masks alone":    func(f folder) { f.put("a.png", mask(1, 255)); f.put("b.png", mask(2, 255)) },
		"nothing agrees": func(f folder) { f.put("images/a.png", photo(1)); f.put("masks/b.png", mask(2, 255)) },
		"damaged":        func(f folder) { f.write("images/a.png", []byte("x")); f.write("masks/a.png", []byte("y")) },
	} {
		t.Run(name, func(t *testing.T) {
			f := folder{t, t.TempDir()}
			write(f)
			g, err := Look(f.dir)
			var unclear *ErrUnclear
			if !errors.As(err, &unclear) || name != "nothing" && len(unclear.Seen) == 0 {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
}

func TestSafeName(t *testing.T) {
	for folder, want := range map[string]string{"Kvasir-SEG_256": "kvasir-seg_256", "My Eyes (2)": "my_eyes_2", "..": "my_data", "été": "t", strings.Repeat("x", 99): strings.Repeat("x", 60)} {
		if got := SafeName(folder); got != want {
			t.Errorf("%q: %q, want %q", folder, got, want)
		}
	}
}
