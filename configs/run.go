package configs

// Run is everything that decides what a fine-tuning run does. Its file is TOML; keys are dotted on the
// command line, as --set train.lr=1e-4.
type Run struct {
	Benchmark string `toml:"benchmark" doc:"data set: a name from samtune data list, or the path of a TOML file of your own"`
	Target    string `toml:"target" doc:"which of the benchmark's structures; empty: its first"`
	Model     string `toml:"model" doc:"model: a name from samtune weights list; empty: the one that the weights file is of, or lite_medsam"`
	Weights   string `toml:"weights" doc:"weights file; empty: the model's released weights in the cache"`
	Precision string `toml:"precision" range:"float32|bfloat16|float16" doc:"arithmetic of the frozen image encoder: float32, bfloat16 or float16; the mask decoder is in float32"`
	Shots     int    `toml:"shots" range:"[1,]" doc:"annotated images that training may use"`
	Seed      int64  `toml:"seed" doc:"seed of the draw of shots and of the training"`
	Split     string `toml:"split,omitempty" doc:"split file, from samtune data split or a run's folder, that says which cases are trained on and tested; it decides benchmark, target, shots and seed"`
	Decoder   string `toml:"decoder" range:"plain|linear|fine" doc:"plain: SAM's mask decoder; linear: a convex head over the encoder's early features; fine: both"`

	Compare []string `toml:"compare" range:"plain|linear|fine" doc:"decoders that are fitted on the same shots and shown beside it; empty: none"`

	Train Train `toml:"train"`
	Views Views `toml:"views"`
	Head  Head  `toml:"head"`
	Eval  Eval  `toml:"eval"`
	Cache Cache `toml:"cache"`

	Engine Engine `toml:"engine,omitempty"`
}

// Train are the settings of the optimisation.
type Train struct {
	Device          string  `toml:"device" doc:"auto, cpu, cuda or cuda:N"`
	Threads         int     `toml:"threads" range:"[0,1024]" doc:"CPU threads of an operation; 0: one on each core"`
	Encoder         string  `toml:"encoder" range:"frozen|neck|lora" doc:"frozen; what of it is trained with the decoders plain and fine: neck, or lora for low-rank updates of its attention"`
	Rank            int     `toml:"rank" range:"[1,1024]" doc:"rank of those updates"`
	Steps           int     `toml:"steps" range:"[1,]" doc:"optimiser steps"`
	Batch           int     `toml:"batch" range:"[1,4096]" doc:"views in a step"`
	LR              float64 `toml:"lr" range:"(0,]" doc:"highest learning rate of AdamW"`
	WeightDecay     float64 `toml:"weight_decay" range:"[0,]" doc:"decoupled weight decay"`
	Warmup          int     `toml:"warmup" range:"[0,]" doc:"steps over which the learning rate rises; then half a cosine"`
	Clip            float64 `toml:"clip" range:"[0,]" doc:"largest norm of the gradient; 0: no clipping"`
	Flips           bool    `toml:"flips" doc:"mirror features and labels at random"`
	Stopping        string  `toml:"stopping" range:"holdout|leave_one_out" doc:"how the best step is found inside the shots: holdout keeps a fifth of them out; leave_one_out trains once without each and then on all"`
	ValidateEvery   int     `toml:"validate_every" range:"[1,]" doc:"steps between validations on the shots that are held out"`
	CheckpointEvery int     `toml:"checkpoint_every" range:"[1,]" doc:"steps between checkpoints"`
	Keep            int     `toml:"keep" range:"[1,]" doc:"checkpoints kept beside the best"`

	Loss Loss `toml:"loss"`
}

// Loss weighs the terms of the loss that the decoders plain and fine are trained with; 0 leaves a term out.
type Loss struct {
	BCE      float64 `toml:"bce" range:"[0,]" doc:"weight of binary cross-entropy"`
	Positive float64 `toml:"positive" range:"(0,]" doc:"factor on its pixels inside"`
	Dice     float64 `toml:"dice" range:"[0,]" doc:"weight of soft Dice"`
	Focal    float64 `toml:"focal" range:"[0,]" doc:"weight of the focal loss"`
	Gamma    float64 `toml:"gamma" range:"[1,]" doc:"exponent of the focal loss, 1 or more"`
	Alpha    float64 `toml:"alpha" range:"(0,1)" doc:"share of pixels inside in the focal loss"`
	Tversky  float64 `toml:"tversky" range:"[0,]" doc:"weight of the Tversky loss"`
	Over     float64 `toml:"over" range:"[0,]" doc:"what false positives weigh in the Tversky loss"`
	Under    float64 `toml:"under" range:"[0,]" doc:"what false negatives weigh in the Tversky loss"`
	ClDice   float64 `toml:"cldice" range:"[0,]" doc:"weight of soft clDice, for what is thin and long"`
	Thinning int     `toml:"thinning" range:"[1,1000]" doc:"erosions of its skeleton: half the width of the widest structure, in pixels"`
	Boundary float64 `toml:"boundary" range:"[0,]" doc:"weight of the boundary loss: 0.01 or so beside others, since it is in pixels"`
}

// Views say which regions of a picture the network looks at.
type Views struct {
	Grid     int     `toml:"grid" range:"[1,64]" doc:"1: the whole picture; n: n x n overlapping tiles"`
	Tile     int     `toml:"tile" range:"[0,]" doc:"side of a tile in the picture's pixels; 0: so that the tiles of a grid overlap by a tenth to a fifth"`
	Feather  int     `toml:"feather" range:"[0,]" doc:"pixels from a tile's edge over which its weight rises where tiles overlap"`
	MinValid float64 `toml:"min_valid" range:"[0,1]" doc:"tiles with a smaller share of valid pixels are not trained on"`
}

// Head are the settings of the convex head: of the decoders linear and fine.
type Head struct {
	Scales    []int     `toml:"scales" range:"[1,64]" empty:"no" doc:"n: n x n overlapping tiles, 1: the whole picture; their logits are added"`
	Mirrors   string    `toml:"mirrors" range:"none|x|xy" doc:"none; x: each view also left to right; xy: and upside down; averaged"`
	Features  []string  `toml:"features" doc:"encoder features at each scale: pixels, stage0, stage1, embedding"`
	Whole     []string  `toml:"whole" doc:"further features of the whole picture alone"`
	Pixels    int       `toml:"pixels" range:"[100,]" doc:"pixels of each shot that the head is fitted on"`
	Ridges    []float64 `toml:"ridges" range:"(0,]" empty:"no" doc:"ridge penalties to choose from inside the shots; one: fixed"`
	Dice      float64   `toml:"dice" range:"[0,]" doc:"weight of a soft Dice term beside the cross-entropy, for rare targets"`
	Positive  float64   `toml:"positive" range:"(0,]" doc:"factor on the weight of pixels inside"`
	Context   bool      `toml:"context" doc:"second stage, on the first one's logits along lines through each pixel: for what is thin and long"`
	Threshold float64   `toml:"threshold" range:"[0,1)" doc:"probability above which a pixel is inside; 0: chosen inside the shots"`
}

// Eval are the settings of the comparison.
type Eval struct {
	Prompts      []string  `toml:"prompts" empty:"no" doc:"zero-shot prompts: none, box, point, random_point, and from the truth oracle_point, oracle_box, oracle_box_jitter, oracle_component_points, oracle_component_boxes, oracle_clicks, everything_oracle"`
	Before       string    `toml:"before" doc:"the zero-shot prompt that fine-tuning is compared with"`
	GridPoints   int       `toml:"everything_points" range:"[1,64]" doc:"points in a row of the grid of everything_oracle"`
	OraclePoints int       `toml:"oracle_points" range:"[1,1000]" doc:"points of the oracle_point prompt, clicks of oracle_clicks"`
	Threshold    float64   `toml:"threshold" range:"(0,1)" doc:"probability above which a pixel is inside, after fine-tuning the plain decoder"`
	Thickness    []float64 `toml:"thickness" range:"(0,]" doc:"bounds, in the data's unit, between classes of local thickness for which Dice is given too; empty: none"`

	NSDTolerance float64 `toml:"nsd_tolerance" range:"[0,]" doc:"tolerance of NSD in the data's unit; 0: the benchmark's"`
}

// Cache says where the encoder's features are kept.
type Cache struct {
	Dir   string `toml:"dir" doc:"folder of the feature cache; empty: samtune/features in the user's cache folder"`
	DType string `toml:"dtype" range:"auto|float32|float16|bfloat16" doc:"element type of cached features: float16, bfloat16 or float32; auto: that of precision, but float16 for float32"`
	Batch int    `toml:"batch" range:"[0,4096]" doc:"views that go through the encoder at a time; 0: 8 on a GPU, on the CPU one for each thread as far as memory goes"`

	BudgetGB float64 `toml:"budget_gb" range:"[0,]" doc:"disk space, 10^9 bytes, that the cache may take; what has no place is computed again when it is needed; 0: no bound"`
}

// Default returns the settings that hold where nothing else is said.
func Default() *Run {
	return &Run{
		Benchmark: "fundus", Precision: "float32", Shots: 5, Seed: 1, Decoder: "plain", Compare: []string{"plain", "linear"},
		Train: Train{
			Device: "auto", Encoder: "frozen", Rank: 4, Steps: 150, Batch: 1, LR: 5e-4, WeightDecay: 0.01, Warmup: 10, Clip: 1, Flips: true,
			Stopping: "holdout", ValidateEvery: 50, CheckpointEvery: 25, Keep: 2,
			Loss: Loss{BCE: 1, Positive: 1, Dice: 1, Gamma: 2, Alpha: 0.5, Over: 0.3, Under: 0.7, Thinning: 5},
		},
		Views: Views{Grid: 1, Feather: 24, MinValid: 0.15},
		Head: Head{
			Scales: []int{1}, Mirrors: "x", Features: []string{"pixels", "stage0", "stage1"}, Whole: []string{"embedding"},
			Pixels: 30000, Ridges: []float64{3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1}, Positive: 1,
		},
		Eval: Eval{
			Prompts: []string{"none", "box", "point", "oracle_point", "oracle_box"}, Before: "box", OraclePoints: 10, GridPoints: 8, Threshold: 0.5, Thickness: []float64{},
		},
		Cache: Cache{DType: "auto", BudgetGB: 24},
	}
}
