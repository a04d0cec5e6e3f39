package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Columns with a grey value for each label, written as volumes.
func (f fixture) scans(labels []uint8, imagesAndLabels ...[2]string) {
	f.t.Helper()
	for _, n := range imagesAndLabels {
		f.photo(len(labels), n[0])
		f.grey(labels, n[1])
	}
}

// amosJSON and the others are the parts that matter of the dataset.json files as they are published.
const (
	amosJSON = `{"name": "AMOS", "tensorImageSize": "3D", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "spleen", "2": "right kidney", "3": "left kidney",
"4": "gall bladder", "5": "esophagus", "6": "liver", "7": "stomach", "8": "arota", "9": "postcava", "10": "pancreas", "11": "right adrenal gland",
"12": "left adrenal gland", "13": "duodenum", "14": "bladder", "15": "prostate/uterus"},
"training": [{"image": "./imagesTr/amos_0004.nii.gz", "label": "./labelsTr/amos_0004.nii.gz"}, {"image": "./imagesTr/amos_0507.nii.gz", "label": "./labelsTr/amos_0507.nii.gz"}],
"test": ["./imagesTs/amos_0003.nii.gz"]}`
	nnAMOSJSON = `{"channel_names": {"0": "CT"}, "labels": {"background": 0, "spleen": 1, "right kidney": 2, "left kidney": 3, "gall bladder": 4, "esophagus": 5, "liver": 6,
"stomach": 7, "arota": 8, "postcava": 9, "pancreas": 10, "right adrenal gland": 11, "left adrenal gland": 12, "duodenum": 13, "bladder": 14, "prostate/uterus": 15},
"numTraining": 2, "file_ending": ".nii.gz"}`
	liverJSON = `{"name": "LIVER", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver", "2": "cancer"}, "numTraining": 2,
"training": [{"image": "./imagesTr/liver_0.nii.gz", "label": "./labelsTr/liver_0.nii.gz"}, {"image": "./imagesTr/liver_130.nii.gz", "label": "./labelsTr/liver_130.nii.gz"}], "test": ["./imagesTs/liver_132.nii.gz"]}`
	spleenJSON = `{"name": "Spleen", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "spleen"}, "numTraining": 2,
"training": [{"image": "./imagesTr/spleen_2.nii.gz", "label": "./labelsTr/spleen_2.nii.gz"}, {"image": "./imagesTr/spleen_10.nii.gz", "label": "./labelsTr/spleen_10.nii.gz"}], "test": ["./imagesTs/spleen_1.nii.gz"]}`
)

func TestOfficialVolumes(t *testing.T) {
	amos := map[string][]int{"spleen": {1}, "right_kidney": {2}, "left_kidney": {3}, "gallbladder": {4}, "oesophagus": {5}, "liver": {6}, "stomach": {7}, "aorta": {8},
		"vena_cava": {9}, "pancreas": {10}, "right_adrenal": {11}, "left_adrenal": {12}, "duodenum": {13}, "bladder": {14}, "prostate_uterus": {15}}
	tumour := map[string][]int{"whole_tumour": {1, 2, 4}, "tumour_core": {1, 4}, "enhancing_tumour": {4}}
	brats := []uint8{0, 1, 2, 0, 4}
	pairs := func(image, label string, ids ...string) (out [][2]string) {
		for _, id := range ids {
			out = append(out, [2]string{strings.ReplaceAll(image, "*", id), strings.ReplaceAll(label, "*", id)})
		}
		return out
	}
	writeAMOS := func(f fixture) {
		f.scans(upTo(15), pairs("amos22/imagesTr/*.nii.gz", "amos22/labelsTr/*.nii.gz", "amos_0001", "amos_0004", "amos_0500", "amos_0507", "amos_0600")...)
		f.scans(upTo(15), pairs("amos22/imagesVa/*.nii.gz", "amos22/labelsVa/*.nii.gz", "amos_0008", "amos_0518")...)
		f.photo(16, "amos22/imagesTs/amos_0003.nii.gz", "amos22/imagesTs/amos_0501.nii.gz")
		f.text("amos22/dataset.json", amosJSON)
		f.text("amos22/imagesTr/._amos_0001.nii.gz", "left by a Mac")
	}
	writeCURVAS := func(f fixture) {
		for _, n := range []string{"training_set/UKCHLL001", "training_set/UKCHLL003", "testing_set/UKCHLL002", "testing_set/UKCHLL007"} {
			f.photo(6, "CURVAS/"+n+"/image.nii.gz")
			f.grey([]uint8{0, 1, 2, 3, 0, 0}, "CURVAS/"+n+"/annotation_1.nii.gz")
			f.grey([]uint8{0, 1, 2, 0, 3, 0}, "CURVAS/"+n+"/annotation_2.nii.gz")
			f.grey([]uint8{0, 0, 2, 3, 0, 3}, "CURVAS/"+n+"/annotation_3.nii.gz")
		}
		// As published: it says 0.7 mm where its image says 1 mm.
		putNIfTI(f.t, filepath.Join(f.root, "CURVAS/testing_set/UKCHLL007/annotation_2.nii.gz"), [3]int{6, fixtureRows, fixtureSlices},
			func(int, int, int) float32 { return 1 }, [3][4]float32{{0.5, 0, 0, 0}, {0, 0.7, 0, 0}, {0, 0, 1.4, 0}})
	}
	for _, tt := range []struct {
		benchmark, layout string
		write             func(f fixture)
		pool, test        string // volumes
		inside            map[string][]int
	}{
		{"amos_ct", "training and validation volumes", writeAMOS, "amos_0001 amos_0004 amos_0500", "amos_0008", amos},
		{"amos_mri", "training and validation volumes", writeAMOS, "amos_0507 amos_0600", "amos_0518", amos},
		{"amos_ct", "training volumes in nnU-Net's names", func(f fixture) {
			const dir = "Dataset219_AMOS2022_postChallenge_task2/"
			f.scans(upTo(15), pairs(dir+"imagesTr/*_0000.nii.gz", dir+"labelsTr/*.nii.gz", "amos_0001", "amos_0004", "amos_0507")...)
			f.text(dir+"dataset.json", nnAMOSJSON)
		}, "amos_0001", "amos_0004", amos},
		{"msd_liver", "Decathlon's labelled volumes", func(f fixture) {
			f.scans(upTo(2), pairs("Task03_Liver/imagesTr/*.nii.gz", "Task03_Liver/labelsTr/*.nii.gz", "liver_0", "liver_130")...)
			f.photo(3, "Task03_Liver/imagesTs/liver_132.nii.gz")
			f.text("Task03_Liver/dataset.json", liverJSON)
			f.text("Task03_Liver/labelsTr/._liver_0.nii.gz", "left by a Mac")
		}, "liver_0", "liver_130", map[string][]int{"liver": {1, 2}, "tumour": {2}}},
		{"msd_liver", "the same in nnU-Net's names", func(f fixture) {
			f.scans(upTo(2), pairs("nnUNet_raw/Dataset003_Liver/imagesTr/*_0000.nii.gz", "nnUNet_raw/Dataset003_Liver/labelsTr/*.nii.gz", "liver_0", "liver_130")...)
			f.text("nnUNet_raw/Dataset003_Liver/dataset.json", `{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "cancer": 2}, "numTraining": 2, "file_ending": ".nii.gz"}`)
		}, "liver_0", "liver_130", map[string][]int{"liver": {1, 2}, "tumour": {2}}},
		{"msd_spleen", "Decathlon's labelled volumes", func(f fixture) {
			f.scans(upTo(1), pairs("Task09_Spleen/imagesTr/*.nii.gz", "Task09_Spleen/labelsTr/*.nii.gz", "spleen_2", "spleen_10")...)
			f.text("Task09_Spleen/dataset.json", spleenJSON)
		}, "spleen_10", "spleen_2", map[string][]int{"spleen": {1}}},
		{"curvas", "training and test patients", writeCURVAS, "UKCHLL001 UKCHLL003", "UKCHLL002", map[string][]int{"pancreas": {1}, "kidney": {2}, "liver": {3}}},
		{"brats", "the challenge's training patients", func(f fixture) {
			f.scans(brats, pairs("BraTS2021_Training_Data/*/*_flair.nii.gz", "BraTS2021_Training_Data/*/*_seg.nii.gz", "BraTS2021_00000", "BraTS2021_00002")...)
			f.photo(5, "BraTS2021_Training_Data/BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz")
		}, "BraTS2021_00000", "BraTS2021_00002", tumour},
		{"brats", "the challenge's training patients, not packed", func(f fixture) {
			const dir = "BraTS2020_TrainingData/MICCAI_BraTS2020_TrainingData/"
			f.scans(brats, pairs(dir+"*/*_flair.nii", dir+"*/*_seg.nii", "BraTS20_Training_001", "BraTS20_Training_002")...)
			f.photo(5, dir+"BraTS20_Training_355/BraTS20_Training_355_flair.nii")
			f.grey(brats, dir+"BraTS20_Training_355/W39_1998.09.19_Segm.nii")
			f.text(dir+"survival_info.csv", "Brats20ID,Age,Survival_days,Extent_of_Resection\n")
		}, "BraTS20_Training_001", "BraTS20_Training_002", tumour},
		{"brats", "the challenge's training patients by grade", func(f fixture) {
			const dir = "MICCAI_BraTS_2019_Data_Training/"
			f.scans(brats, pairs(dir+"HGG/*/*_flair.nii.gz", dir+"HGG/*/*_seg.nii.gz", "BraTS19_2013_2_1")...)
			f.scans(brats, pairs(dir+"LGG/*/*_flair.nii.gz", dir+"LGG/*/*_seg.nii.gz", "BraTS19_TCIA09_141_1")...)
			f.text(dir+"name_mapping.csv", "x")
		}, "BraTS19_2013_2_1", "BraTS19_TCIA09_141_1", tumour},
		{"brats2023", "the challenge's training patients", func(f fixture) {
			const dir = "ASNR-MICCAI-BraTS2023-GLI-Challenge-TrainingData/"
			f.scans([]uint8{0, 1, 2, 3}, pairs(dir+"*/*-t2f.nii.gz", dir+"*/*-seg.nii.gz", "BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000")...)
			f.photo(4, dir+"BraTS-GLI-00005-000/BraTS-GLI-00005-000-t1c.nii.gz")
		}, "BraTS-GLI-00005-000 BraTS-GLI-00005-001", "BraTS-GLI-00006-000", map[string][]int{"whole_tumour": {1, 2, 3}, "tumour_core": {1, 3}, "enhancing_tumour": {3}}},
		{"chaos_ct", "labelled patients", writeCHAOS, "1", "10", map[string][]int{"liver": {1, 2}}},
	} {
		t.Run(tt.benchmark+"/"+tt.layout, func(t *testing.T) {
			f := fixture{t, t.TempDir()}
			tt.write(f)
			b, err := Open(tt.benchmark, Options{Root: f.root})
			if err != nil {
				t.Fatal(err)
			}
			checkOfficial(t, b, tt.layout, tt.pool, tt.test, tt.inside, nil)
		})
	}
}

// ACDC's slices are cut along the heart, and shown as they are in the file.
func TestOfficialACDC(t *testing.T) {
	f := fixture{t, t.TempDir()}
	for _, n := range []string{"training/patient001/patient001_frame01", "training/patient001/patient001_frame12", "training/patient100/patient100_frame01",
		"testing/patient101/patient101_frame01", "testing/patient150/patient150_frame12"} {
		f.scans(upTo(3), [2]string{"ACDC/database/" + n + ".nii.gz", "ACDC/database/" + n + "_gt.nii.gz"})
	}
	f.photo(4, "ACDC/database/training/patient001/patient001_4d.nii.gz")
	f.text("ACDC/database/training/patient001/Info.cfg", "ED: 1\nES: 12\n")
	b, err := Open("acdc", Options{Root: f.root})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Pool) != 3*fixtureSlices || len(b.Test) != 2*fixtureSlices || b.Pool[0].Patient != "patient001" || b.Pool[fixtureSlices].Patient != "patient001" {
		t.Errorf("pool %v, test %v", ids(b.Pool), ids(b.Test))
	}
	s, err := b.Test[0].Load()
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]int{"right_ventricle": 1, "myocardium": 2, "left_ventricle": 3} {
		if got := columns(t, s.Masks[target]); len(got) != 1 || got[0] != want {
			t.Errorf("%s is in the columns %v, want %d", target, got, want)
		}
	}
}

// writeCHAOS writes two patients: of one the files count from 0 as the masks do, of the other from 1 and under another name. The
// masks have one bit a pixel.
func writeCHAOS(f fixture) {
	const dir = "CHAOS_Train_Sets/Train_Sets/CT/"
	for patient, name := range map[string]string{"1": "i%04d,0000b.dcm", "10": "IMG-0004-%05d.dcm"} {
		made := filepath.Join(f.t.TempDir(), patient)
		putSeries(f.t, made, 4, fixtureRows, 3) // called i0001 to i0003
		for n := 1; n <= 3; n++ {
			from := n - 1
			if patient == "10" {
				from = n
			}
			f.text(dir+patient+"/DICOM_anon/"+fmt.Sprintf(name, from), readText(f.t, filepath.Join(made, fmt.Sprintf("i%04d,0000b.dcm", n))))
			m := image.NewPaletted(image.Rect(0, 0, 4, fixtureRows), color.Palette{color.Black, color.White})
			for y := range fixtureRows { // the picture's right is the patient's left: the series' columns are shown as they are
				m.SetColorIndex(1, y, 1)
				m.SetColorIndex(2, y, 1)
			}
			put(f.t, filepath.Join(f.root, dir+patient, "Ground", fmt.Sprintf("liver_GT_%03d.png", n-1)), func(b *bytes.Buffer) error { return png.Encode(b, m) })
		}
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
