package data

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// A fixture writes files in a layout as its data set is published: names, folders and label values are written out here, and
// nothing is taken from the declaration. A picture has a column for each of its values; a volume has its slices of them.
type fixture struct {
	t    *testing.T
	root string
}

const (
	fixtureRows   = 60 // of a picture and of a slice, so that a column has enough pixels to be seen
	fixtureSlices = 3
)

// grey writes a file, of a kind by its name, whose columns have these values. Names are relative to the data folder.
func (f fixture) grey(values []uint8, names ...string) {
	f.t.Helper()
	for _, name := range names {
		if strings.Contains(name, ".nii") {
			f.volume(values, name)
			continue
		}
		m := image.NewGray(image.Rect(0, 0, len(values), fixtureRows))
		for i := range m.Pix {
			m.Pix[i] = values[i%len(values)]
		}
		f.picture(m, name)
	}
}

// photo writes a file that is no mask, each with other pixels.
func (f fixture) photo(width int, names ...string) {
	f.t.Helper()
	for i, name := range names {
		values := make([]uint8, width)
		for x := range values {
			values[x] = uint8(10 + 7*x + 3*i)
		}
		f.grey(values, name)
	}
}

func (f fixture) picture(m image.Image, name string) {
	f.t.Helper()
	put(f.t, filepath.Join(f.root, filepath.FromSlash(name)), func(b *bytes.Buffer) error {
		switch ext := strings.ToLower(filepath.Ext(name)); ext {
		case ".jpg":
			return jpeg.Encode(b, m, nil)
		case ".bmp":
			return bmp.Encode(b, m)
		case ".tif":
			return tiff.Encode(b, m, nil)
		case ".gz":
			z := gzip.NewWriter(b)
			r := m.Bounds()
			fmt.Fprintf(z, "P6\n%d %d\n255\n", r.Dx(), r.Dy())
			for i := range r.Dx() * r.Dy() {
				c := color.RGBAModel.Convert(m.At(i%r.Dx(), i/r.Dx())).(color.RGBA)
				z.Write([]byte{c.R, c.G, c.B})
			}
			return z.Close()
		case ".png":
			return png.Encode(b, m)
		default:
			return fmt.Errorf("no picture is written as %s", ext)
		}
	})
}

func (f fixture) volume(values []uint8, name string) {
	f.t.Helper()
	path := filepath.Join(f.root, filepath.FromSlash(name))
	putNIfTI(f.t, path+".tmp", [3]int{len(values), fixtureRows, fixtureSlices}, func(x, y, z int) float32 {
		return float32(values[x]) + float32(y+z)/1024*float32(min(1, values[0])) // labels, whose first value is 0, are whole
	})
	text, err := os.ReadFile(path + ".tmp")
	if err != nil {
		f.t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			f.t.Fatal(err)
		}
		var plain bytes.Buffer
		if _, err := plain.ReadFrom(z); err != nil {
			f.t.Fatal(err)
		}
		text = plain.Bytes()
	}
	f.text(name, string(text))
	os.Remove(path + ".tmp")
}

func (f fixture) text(name, text string) {
	f.t.Helper()
	put(f.t, filepath.Join(f.root, filepath.FromSlash(name)), func(b *bytes.Buffer) error { b.WriteString(text); return nil })
}

// columns are the columns of a picture's mask that are inside from top to bottom; others must be outside.
func columns(t *testing.T, m *Mask) (out []int) {
	t.Helper()
	for x := range m.Width {
		n := 0
		for y := range m.Height {
			n += int(m.Pix[y*m.Width+x])
		}
		if n == m.Height {
			out = append(out, x)
		} else if n > 0 {
			t.Errorf("column %d is inside in %d of %d rows", x, n, m.Height)
		}
	}
	return out
}

// upTo lists the values from 0 up to n.
func upTo(n int) []uint8 {
	out := make([]uint8, n+1)
	for i := range out {
		out[i] = uint8(i)
	}
	return out
}

// TestOfficialLayouts writes data sets as they are published and finds their cases, masks, splits and patients.
func TestOfficialLayouts(t *testing.T) {
	twoValues := []uint8{0, 255, 255, 0}
	for _, tt := range []struct {
		benchmark, layout string
		write             func(f fixture)
		pool, test        string           // names of cases; of volumes, those of the volumes
		inside            map[string][]int // columns inside each target
		patients          map[string]string
	}{
		{"stare", "packed", func(f fixture) {
			for _, n := range []string{"im0001", "im0002", "im0255"} {
				f.photo(4, "STARE/stare-images/"+n+".ppm.gz")
				f.grey(twoValues, "STARE/labels-ah/"+n+".ah.ppm.gz", "STARE/labels-vk/"+n+".vk.ppm.gz")
			}
		}, "im0001 im0255", "im0002", map[string][]int{"vessels": {1, 2}}, nil},
		{"chase_db1", "single folder", func(f fixture) {
			for _, n := range []string{"Image_01L", "Image_01R", "Image_02L", "Image_02R"} {
				f.photo(4, "CHASEDB1/"+n+".jpg")
				f.grey(twoValues, "CHASEDB1/"+n+"_1stHO.png")
				f.grey([]uint8{255, 0, 0, 0}, "CHASEDB1/"+n+"_2ndHO.png")
			}
		}, "Image_01L Image_01R", "Image_02L Image_02R", map[string][]int{"vessels": {1, 2}}, map[string]string{"Image_01L": "01", "Image_01R": "01", "Image_02R": "02"}},
		{"hrf", "images, manual1 and mask", func(f fixture) {
			for _, n := range []string{"01_dr.JPG", "01_g.jpg", "01_h.jpg"} { // the ending of pictures with retinopathy is in capitals
				f.photo(4, "HRF/images/"+n)
				id := strings.SplitN(n, ".", 2)[0]
				f.grey(twoValues, "HRF/manual1/"+id+".tif")
				f.grey([]uint8{0, 255, 255, 255}, "HRF/mask/"+id+"_mask.tif")
			}
		}, "01_dr 01_h", "01_g", map[string][]int{"vessels": {1, 2}}, nil},
		{"fives", "official split", func(f fixture) {
			const dir = "FIVES A Fundus Image Dataset for AI-based Vessel Segmentation/"
			for _, n := range []string{"train/Original/1_A", "train/Original/2_D", "test/Original/1_A", "test/Original/9_G"} {
				f.photo(4, dir+n+".png")
				f.grey(twoValues, dir+strings.Replace(n, "Original", "Ground truth", 1)+".png")
			}
			f.text(dir+"Quality Assessment.xlsx", "x")
		}, "1_A 2_D", "test_1_A test_9_G", map[string][]int{"vessels": {1, 2}}, nil},
		{"rim_one", "official random split", func(f fixture) { writeRIMONE(f, "partitioned_randomly") },
			"r1_Im001 r2_Im003", "r1_Im002 r3_Im004", map[string][]int{"disc": {1, 2}, "cup": {2}}, nil},
		{"rim_one", "official split by hospital", func(f fixture) { writeRIMONE(f, "partitioned_by_hospital") },
			"r1_Im001 r2_Im003", "r1_Im002 r3_Im004", map[string][]int{"disc": {1, 2}, "cup": {2}}, nil},
		{"refuge", "training and test sets", func(f fixture) { writeREFUGE(f, "", "", "Test400/T", "REFUGE-Test-GT") },
			"g0001 n0001", "T0001 T0002", map[string][]int{"disc": {1, 2}, "cup": {2}}, nil},
		{"refuge", "training and validation sets", func(f fixture) { writeREFUGE(f, "", "", "REFUGE-Validation400/V", "REFUGE-Validation400-GT") },
			"g0001 n0001", "V0001 V0002", map[string][]int{"disc": {1, 2}, "cup": {2}}, nil},
		{"refuge", "training and test sets, archives", func(f fixture) {
			writeREFUGE(f, "REFUGE-Training400/", "Annotation-Training400/", "REFUGE-Test400/Test400/T", "REFUGE-Test-GT/REFUGE-Test-GT")
		}, "g0001 n0001", "T0001 T0002", map[string][]int{"disc": {1, 2}, "cup": {2}}, nil},
		{"drishti", "official folders", func(f fixture) {
			const dir = "Drishti-GS1_files/Drishti-GS1_files/"
			for _, n := range [][3]string{{"Training/Images/GLAUCOMA/", "Training/GT/", "drishtiGS_002"}, {"Training/Images/NORMAL/", "Training/GT/", "drishtiGS_008"},
				{"Test/Images/glaucoma/", "Test/Test_GT/", "drishtiGS_001"}, {"Test/Images/normal/", "Test/Test_GT/", "drishtiGS_003"}} {
				f.photo(5, dir+n[0]+n[2]+".png")
				f.grey([]uint8{0, 64, 128, 191, 255}, dir+n[1]+n[2]+"/SoftMap/"+n[2]+"_ODsegSoftmap.png")
				f.grey([]uint8{0, 0, 64, 128, 255}, dir+n[1]+n[2]+"/SoftMap/"+n[2]+"_cupsegSoftmap.png")
				f.text(dir+n[1]+n[2]+"/AvgBoundary/"+n[2]+"_ODAvgBoundary.txt", "1 2\n")
			}
		}, "drishtiGS_002 drishtiGS_008", "drishtiGS_001 drishtiGS_003", map[string][]int{"disc": {3, 4}, "cup": {4}}, nil},
		{"aroi", "labelled scans", func(f fixture) {
			for _, n := range []string{"patient1/raw/labeled/patient1_raw0008", "patient1/raw/labeled/patient1_raw0058", "patient2/raw/labeled/patient2_raw0003", "patient24/raw/labeled/patient24_raw0100"} {
				f.photo(8, "AROI - online/24 patient/"+n+".png")
				f.grey(upTo(7), "AROI - online/24 patient/"+strings.Replace(n, "raw/labeled", "mask/number", 1)+".png")
			}
			f.photo(8, "AROI - online/24 patient/patient1/raw/patient1_raw0001.png")
		}, "patient1_raw0008 patient1_raw0058 patient24_raw0100", "patient2_raw0003",
			map[string][]int{"ilm_inl": {1}, "inl_rpe": {2}, "rpe_bruch": {3}, "under_bruch": {4}, "ped": {5}, "srf": {6}, "irf": {7}},
			map[string]string{"patient1_raw0008": "1", "patient1_raw0058": "1", "patient2_raw0003": "2"}},
		{"isic2016", "official split", func(f fixture) {
			writeISIC(f, "ISIC2016/ISBI2016_ISIC_Part1_Training_Data/", "ISIC2016/ISBI2016_ISIC_Part1_Training_GroundTruth/", "_Segmentation", "ISIC_0000000", "ISIC_0000001")
			writeISIC(f, "ISIC2016/ISBI2016_ISIC_Part1_Test_Data/", "ISIC2016/ISBI2016_ISIC_Part1_Test_GroundTruth/", "_Segmentation", "ISIC_0000003")
		}, "ISIC_0000000 ISIC_0000001", "ISIC_0000003", map[string][]int{"lesion": {1, 2}}, nil},
		{"isic2017", "official split", func(f fixture) {
			writeISIC(f, "ISIC2017/ISIC-2017_Training_Data/", "ISIC2017/ISIC-2017_Training_Part1_GroundTruth/", "_segmentation", "ISIC_0000000", "ISIC_0000001")
			f.photo(4, "ISIC2017/ISIC-2017_Training_Data/ISIC_0000000_superpixels.png") // of another part of the challenge
			writeISIC(f, "ISIC2017/ISIC-2017_Validation_Data/", "ISIC2017/ISIC-2017_Validation_Part1_GroundTruth/", "_segmentation", "ISIC_0001769")
			writeISIC(f, "ISIC2017/ISIC-2017_Test_v2_Data/", "ISIC2017/ISIC-2017_Test_v2_Part1_GroundTruth/", "_segmentation", "ISIC_0012086")
		}, "ISIC_0000000 ISIC_0000001", "ISIC_0012086", map[string][]int{"lesion": {1, 2}}, nil},
		{"isic2018", "official split", func(f fixture) {
			writeISIC(f, "ISIC2018/ISIC2018_Task1-2_Training_Input/", "ISIC2018/ISIC2018_Task1_Training_GroundTruth/", "_segmentation", "ISIC_0000000", "ISIC_0000001")
			f.text("ISIC2018/ISIC2018_Task1-2_Training_Input/ATTRIBUTION.txt", "x")
			writeISIC(f, "ISIC2018/ISIC2018_Task1-2_Test_Input/", "ISIC2018/ISIC2018_Task1_Test_GroundTruth/", "_segmentation", "ISIC_0012169")
		}, "ISIC_0000000 ISIC_0000001", "ISIC_0012169", map[string][]int{"lesion": {1, 2}}, nil},
		{"ham10000", "split by lesion", func(f fixture) {
			writeISIC(f, "HAM10000/HAM10000_images_part_1/", "HAM10000/HAM10000_segmentations_lesion_tschandl/", "_segmentation", "ISIC_0025030", "ISIC_0026769", "ISIC_0027419")
			writeISIC(f, "HAM10000/HAM10000_images_part_2/", "HAM10000/HAM10000_segmentations_lesion_tschandl/", "_segmentation", "ISIC_0031633")
			f.text("HAM10000/HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\n"+
				"HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp,vidir_modern\nHAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp,vidir_modern\n"+
				"HAM_0002730,ISIC_0026769,bkl,histo,80.0,male,scalp,vidir_modern\nHAM_0001466,ISIC_0031633,bkl,histo,75.0,male,ear,vidir_modern\n")
		}, "ISIC_0025030 ISIC_0026769 ISIC_0027419", "ISIC_0031633", map[string][]int{"lesion": {1, 2}},
			map[string]string{"ISIC_0025030": "HAM_0000118", "ISIC_0027419": "HAM_0000118", "ISIC_0026769": "HAM_0002730"}},
		{"kvasir_instrument", "official split", func(f fixture) {
			writeKvasirInstrument(f)
			f.text("kvasir-instrument/train.txt", "ckcu8ty6z00003b5yzfaezbs5\nckcu8vbe600003b5y9k9bmz0r\n")
			f.text("kvasir-instrument/test.txt", "ckcu9h4vg000a3b5yn9e6xkch\n")
		}, "ckcu8ty6z00003b5yzfaezbs5 ckcu8vbe600003b5y9k9bmz0r", "ckcu9h4vg000a3b5yn9e6xkch", map[string][]int{"instrument": {1, 2}}, nil},
		{"kvasir_instrument", "images and masks, split", writeKvasirInstrument,
			"ckcu8ty6z00003b5yzfaezbs5 ckcu9h4vg000a3b5yn9e6xkch", "ckcu8vbe600003b5y9k9bmz0r", map[string][]int{"instrument": {1, 2}}, nil},
		{"kvasir_seg", "images and masks", func(f fixture) {
			for _, n := range []string{"cju0qkwl35piu0993l0dewei2", "cju0qoxqj9q6s0835b43399p4"} {
				f.photo(16, "Kvasir-SEG/images/"+n+".jpg")
				f.grey([]uint8{0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}, "Kvasir-SEG/masks/"+n+".jpg")
			}
			f.text("Kvasir-SEG/kavsir_bboxes.json", "{}")
		}, "cju0qkwl35piu0993l0dewei2", "cju0qoxqj9q6s0835b43399p4", map[string][]int{"polyp": {8, 9, 10, 11, 12, 13, 14, 15}}, nil},
		{"montgomery", "left and right masks", func(f fixture) {
			for _, n := range []string{"MCUCXR_0001_0.png", "MCUCXR_0104_1.png"} {
				f.photo(4, "MontgomerySet/CXR_png/"+n)
				f.grey([]uint8{0, 255, 0, 0}, "MontgomerySet/ManualMask/leftMask/"+n)
				f.grey([]uint8{0, 0, 0, 255}, "MontgomerySet/ManualMask/rightMask/"+n)
			}
		}, "MCUCXR_0001_0", "MCUCXR_0104_1", map[string][]int{"lungs": {1, 3}}, nil},
		{"shenzhen", "images that have masks in the folders", func(f fixture) {
			for _, n := range []string{"CHNCXR_0001_0", "CHNCXR_0002_0", "CHNCXR_0005_0"} {
				f.photo(4, "ChinaSet_AllFiles/CXR_png/"+n+".png")
				if n != "CHNCXR_0005_0" { // 96 of 662 have no mask
					f.grey(twoValues, "ChinaSet_AllFiles/mask/mask/"+n+"_mask.png")
				}
			}
		}, "CHNCXR_0001_0", "CHNCXR_0002_0", map[string][]int{"lungs": {1, 2}}, nil},
		{"endovis2017", "the challenge's training videos in folders", func(f fixture) { writeEndoVis(f, "instrument_1_4_training", "instrument_5_8_training") },
			"video1_frame000 video1_frame001", "video5_frame000", map[string][]int{"instruments": {1, 2}}, map[string]string{"video1_frame000": "1", "video5_frame000": "5"}},
		{"endovis2017", "the challenge's training videos", func(f fixture) { writeEndoVis(f, "train", "train") },
			"video1_frame000 video1_frame001", "video5_frame000", map[string][]int{"instruments": {1, 2}}, map[string]string{"video1_frame000": "1", "video5_frame000": "5"}},
		{"endovis2017", "cropped training videos", func(f fixture) {
			for _, n := range []string{"instrument_dataset_1/images/frame000", "instrument_dataset_1/images/frame224", "instrument_dataset_8/images/frame010"} {
				f.photo(16, "EndoVis2017/cropped_train/"+n+".jpg")
				f.grey([]uint8{0, 255}, "EndoVis2017/cropped_train/"+strings.Replace(n, "images", "binary_masks", 1)+".png")
				f.photo(2, "EndoVis2017/cropped_train/"+n+".jpg")
			}
		}, "video1_frame000 video1_frame224", "video8_frame010", map[string][]int{"instruments": {1}}, map[string]string{"video1_frame224": "1"}},
	} {
		t.Run(tt.benchmark+"/"+tt.layout, func(t *testing.T) {
			f := fixture{t, t.TempDir()}
			tt.write(f)
			b, err := Open(tt.benchmark, Options{Root: f.root})
			if err != nil {
				t.Fatal(err)
			}
			checkOfficial(t, b, tt.layout, tt.pool, tt.test, tt.inside, tt.patients)
		})
	}
}

// checkOfficial holds what was found against what was written.
func checkOfficial(t *testing.T, b *Benchmark, layout, pool, test string, inside map[string][]int, patients map[string]string) {
	t.Helper()
	if !strings.HasPrefix(b.Layout, layout) {
		t.Errorf("layout is %q, want %q", b.Layout, layout)
	}
	names := func(cases []Case) string {
		var out []string
		for _, c := range cases {
			name := c.ID
			if c.Volume != "" {
				name = c.Volume
			}
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		return strings.Join(out, " ")
	}
	if got, want := names(b.Pool)+" | "+names(b.Test), pool+" | "+test; got != want {
		t.Errorf("cases are %s, want %s", got, want)
	}
	tested := map[string]bool{}
	for _, c := range b.Test {
		tested[c.Patient] = true
	}
	for _, c := range append(slices.Clone(b.Pool), b.Test...) {
		if want := patients[c.ID]; want != "" && c.Patient != want {
			t.Errorf("%s is of patient %s, want %s", c.ID, c.Patient, want)
		}
		s, err := c.Load()
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Masks) != len(inside) {
			t.Errorf("%s has %d masks, want %d", c.ID, len(s.Masks), len(inside))
		}
		for target, want := range inside {
			if c.Volume != "" { // the patient's right is on the left
				want = slices.Clone(want)
				for i := range want {
					want[i] = s.Image.Width - 1 - want[i]
				}
				slices.Sort(want)
			}
			if got := columns(t, s.Masks[target]); !slices.Equal(got, want) {
				t.Errorf("%s: %s is in the columns %v, want %v", c.ID, target, got, want)
			}
		}
	}
	for _, c := range b.Pool {
		if tested[c.Patient] {
			t.Errorf("patient %s is on both sides", c.Patient)
		}
	}
}

func writeRIMONE(f fixture, partition string) {
	const dir = "RIM-ONE_DL/"
	for _, n := range []string{"training_set/normal/r1_Im001", "training_set/glaucoma/r2_Im003", "test_set/normal/r1_Im002", "test_set/glaucoma/r3_Im004"} {
		f.photo(4, dir+"RIM-ONE_DL_images/"+partition+"/"+n+".png")
		_, rest, _ := strings.Cut(n, "/")
		f.grey([]uint8{0, 255, 255, 0}, dir+"RIM-ONE_DL_reference_segmentations/"+rest+"-1-Disc-T.png")
		f.grey([]uint8{0, 0, 255, 0}, dir+"RIM-ONE_DL_reference_segmentations/"+rest+"-1-Cup-T.png")
	}
}

func writeREFUGE(f fixture, images, masks, test, testMasks string) {
	labels := []uint8{255, 128, 0, 255}
	for _, n := range []string{"Glaucoma/g0001", "Non-Glaucoma/n0001"} {
		f.photo(4, "REFUGE/"+images+"Training400/"+n+".jpg")
		f.grey(labels, "REFUGE/"+masks+"Annotation-Training400/Disc_Cup_Masks/"+n+".bmp")
	}
	for _, n := range []string{"0001", "0002"} {
		f.photo(4, "REFUGE/"+test+n+".jpg")
		f.grey(labels, "REFUGE/"+testMasks+"/Disc_Cup_Masks/"+test[len(test)-1:]+n+".bmp")
	}
}

func writeISIC(f fixture, images, masks, suffix string, ids ...string) {
	for _, id := range ids {
		f.photo(4, images+id+".jpg")
		f.grey([]uint8{0, 255, 255, 0}, masks+id+suffix+".png")
	}
}

func writeKvasirInstrument(f fixture) {
	for _, n := range []string{"ckcu8ty6z00003b5yzfaezbs5", "ckcu8vbe600003b5y9k9bmz0r", "ckcu9h4vg000a3b5yn9e6xkch"} {
		f.photo(4, "kvasir-instrument/images/"+n+".jpg")
		f.grey([]uint8{0, 255, 255, 0}, "kvasir-instrument/masks/"+n+".png")
	}
	f.text("kvasir-instrument/bboxes.json", "{}")
}

// writeEndoVis writes frames of 1920 x 1080 pixels, of which 1280 x 1024 are seen. Each instrument has its folder; its shaft is
// 10, its wrist 20, its claspers 30.
func writeEndoVis(f fixture, first, second string) {
	frame := func(inside ...uint8) image.Image {
		m := image.NewGray(image.Rect(0, 0, 1920, 1080))
		for y := range 1080 {
			for x, v := range inside {
				m.SetGray(320+x, y, color.Gray{v})
			}
		}
		return m
	}
	for _, n := range []struct{ dir, video, frame string }{{first, "1", "frame000"}, {first, "1", "frame001"}, {second, "5", "frame000"}} {
		dir := "EndoVis2017/" + n.dir + "/instrument_dataset_" + n.video
		f.picture(frame(1, 2, 3, 4), dir+"/left_frames/"+n.frame+".png")
		f.picture(frame(1, 2, 3, 4), dir+"/right_frames/"+n.frame+".png")
		f.picture(frame(0, 10), dir+"/ground_truth/Left_Prograsp_Forceps_labels/"+n.frame+".png")
		f.picture(frame(0, 0, 30), dir+"/ground_truth/Maryland_Bipolar_Forceps_labels/"+n.frame+".png")
		f.text(dir+"/camera_calibration.txt", "x")
	}
}

// A case that the official split lists and that is not there is named: the split would be smaller without a word.
func TestListedCaseIsMissing(t *testing.T) {
	f := fixture{t, t.TempDir()}
	writeKvasirInstrument(f)
	f.text("kvasir-instrument/train.txt", "ckcu8ty6z00003b5yzfaezbs5.jpg\nckcu8vbe600003b5y9k9bmz0r.jpg\n")
	f.text("kvasir-instrument/test.txt", "ckcu9h4vg000a3b5yn9e6xkch.jpg\nckcua00000000000000000000.jpg\n")
	_, err := Open("kvasir_instrument", Options{Root: f.root})
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "test.txt lists ckcua00000000000000000000") {
		t.Errorf("error is %v, want one that names the case", err)
	}
}
