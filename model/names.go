package model

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"samtune/checkpoints"
)

// OpenWeights opens a file of SAM's weights under whichever names they have: the official ones, those of Hugging Face's
// transformers, or either inside a dictionary or behind a wrapper's prefix ("model.", "module.", "state_dict."). The file
// that it returns answers to the official names. A file that holds more than a model beside it, as the state of an
// optimiser, is refused with the way to take the model out.
func OpenWeights(path string) (*checkpoints.File, error) {
	f, err := checkpoints.Open(path)
	if err != nil {
		return nil, err
	}
	names, err := officialNames(f.Names(), f.Beside())
	if err == nil {
		err = f.Rename(func(name string) string { return names[name] })
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return f, nil
}

// anchor is a parameter that every SAM has, by the same name in both namings.
const anchor = decoderPrefix + "iou_token.weight"

// officialNames maps each name of a file to the official one; names that no model has a use for are left out. beside is
// what the file holds besides tensors.
func officialNames(names, beside []string) (map[string]string, error) {
	prefix, found := wrapper(names)
	if !found {
		return identity(names), nil // not a SAM: what is missing and what is not known is listed when it is matched
	}
	out := map[string]string{}
	var others []string
	if prefix != "" { // in a plain dictionary of weights nothing stands beside them
		others = append(others, beside...)
	}
	hugging := false
	for _, n := range names {
		hugging = hugging || strings.HasPrefix(n, prefix+"vision_encoder.")
	}
	outputs := lastLayers(names, prefix)
	for _, n := range names {
		inner, inside := strings.CutPrefix(n, prefix)
		switch {
		case !inside:
			others = append(others, n)
		case hugging:
			if official := fromHuggingFace(inner, outputs); official != "" {
				out[n] = official
			}
		default:
			out[n] = inner
		}
	}
	if len(others) > 0 {
		return nil, wholeRun(prefix, others)
	}
	return out, nil
}

// wrapper is what stands before the names of the mask decoder: the empty prefix in a plain dictionary.
func wrapper(names []string) (prefix string, found bool) {
	var prefixes []string
	for _, n := range names {
		if p, ok := strings.CutSuffix(n, anchor); ok {
			prefixes = append(prefixes, p)
		}
	}
	if len(prefixes) == 0 {
		return "", false
	}
	sort.Slice(prefixes, func(i, j int) bool { return len(prefixes[i]) < len(prefixes[j]) })
	return prefixes[0], true
}

func identity(names []string) map[string]string {
	out := make(map[string]string, len(names))
	for _, n := range names {
		out[n] = n
	}
	return out
}

// wholeRun says what a file with more than a model in it is and how to take the model out.
func wholeRun(prefix string, others []string) error {
	parts := map[string]bool{}
	var shown []string
	for _, n := range others {
		head, _, _ := strings.Cut(n, ".")
		if !parts[head] {
			parts[head] = true
			shown = append(shown, head)
		}
	}
	sort.Strings(shown)
	take := "d"
	for _, part := range strings.Split(strings.TrimSuffix(prefix, "."), ".") {
		if part == "module" || part == "" { // in the names themselves, where it does no harm
			continue
		}
		take += "['" + part + "']"
	}
	return fmt.Errorf("%w: a checkpoint of a whole training run: beside the model's weights it holds %s; take the weights out with "+
		"python -c \"import torch; d = torch.load('in.pth', map_location='cpu', weights_only=True); torch.save(%s, 'out.pth')\"",
		checkpoints.ErrFormat, strings.Join(shown, ", "), take)
}

// huggingFace are the parts of names that transformers calls otherwise, in the order in which they are looked for.
var huggingFace = []struct {
	pattern  *regexp.Regexp
	official string
}{
	{regexp.MustCompile(`^vision_encoder\.patch_embed\.projection\.`), "image_encoder.patch_embed.proj."},
	{regexp.MustCompile(`^vision_encoder\.layers\.(\d+)\.layer_norm([12])\.`), "image_encoder.blocks.$1.norm$2."},
	{regexp.MustCompile(`^vision_encoder\.layers\.`), "image_encoder.blocks."},
	{regexp.MustCompile(`^vision_encoder\.neck\.conv1\.`), "image_encoder.neck.0."},
	{regexp.MustCompile(`^vision_encoder\.neck\.layer_norm1\.`), "image_encoder.neck.1."},
	{regexp.MustCompile(`^vision_encoder\.neck\.conv2\.`), "image_encoder.neck.2."},
	{regexp.MustCompile(`^vision_encoder\.neck\.layer_norm2\.`), "image_encoder.neck.3."},
	{regexp.MustCompile(`^vision_encoder\.`), "image_encoder."},
	{regexp.MustCompile(`^shared_image_embedding\.positional_embedding$`), "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"},
	{regexp.MustCompile(`^prompt_encoder\.shared_embedding\..*`), ""}, // the same numbers once more
	{regexp.MustCompile(`^prompt_encoder\.point_embed\.`), "prompt_encoder.point_embeddings."},
	{regexp.MustCompile(`^prompt_encoder\.mask_embed\.conv1\.`), "prompt_encoder.mask_downscaling.0."},
	{regexp.MustCompile(`^prompt_encoder\.mask_embed\.layer_norm1\.`), "prompt_encoder.mask_downscaling.1."},
	{regexp.MustCompile(`^prompt_encoder\.mask_embed\.conv2\.`), "prompt_encoder.mask_downscaling.3."},
	{regexp.MustCompile(`^prompt_encoder\.mask_embed\.layer_norm2\.`), "prompt_encoder.mask_downscaling.4."},
	{regexp.MustCompile(`^prompt_encoder\.mask_embed\.conv3\.`), "prompt_encoder.mask_downscaling.6."},
	{regexp.MustCompile(`^mask_decoder\.transformer\.layers\.(\d+)\.layer_norm([1-4])\.`), "mask_decoder.transformer.layers.$1.norm$2."},
	{regexp.MustCompile(`^mask_decoder\.transformer\.layer_norm_final_attn\.`), "mask_decoder.transformer.norm_final_attn."},
	{regexp.MustCompile(`^mask_decoder\.upscale_conv1\.`), "mask_decoder.output_upscaling.0."},
	{regexp.MustCompile(`^mask_decoder\.upscale_layer_norm\.`), "mask_decoder.output_upscaling.1."},
	{regexp.MustCompile(`^mask_decoder\.upscale_conv2\.`), "mask_decoder.output_upscaling.3."},
	{regexp.MustCompile(`^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.proj_in\.`), "$1.layers.0."},
}

var (
	innerLayer  = regexp.MustCompile(`^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.(\d+)\.`)
	outputLayer = regexp.MustCompile(`^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.proj_out\.`)
)

// lastLayers numbers the output layer of each perceptron of the mask decoder, which transformers counts apart: it comes
// after the input layer and the inner ones.
func lastLayers(names []string, prefix string) map[string]int {
	out := map[string]int{}
	for _, n := range names {
		n = strings.TrimPrefix(n, prefix)
		if m := innerLayer.FindStringSubmatch(n); m != nil {
			i, err := strconv.Atoi(m[2])
			if err == nil {
				out[m[1]] = max(out[m[1]], i+2)
			}
		} else if m := outputLayer.FindStringSubmatch(n); m != nil {
			out[m[1]] = max(out[m[1]], 1)
		}
	}
	return out
}

// fromHuggingFace returns the official name of a parameter of transformers' SamModel, empty for one that is there twice.
func fromHuggingFace(name string, outputs map[string]int) string {
	if m := innerLayer.FindStringSubmatch(name); m != nil {
		if i, err := strconv.Atoi(m[2]); err == nil {
			return fmt.Sprintf("%s.layers.%d.%s", m[1], i+1, name[len(m[0]):])
		}
	}
	if m := outputLayer.FindStringSubmatch(name); m != nil {
		return fmt.Sprintf("%s.layers.%d.%s", m[1], outputs[m[1]], name[len(m[0]):])
	}
	for _, r := range huggingFace {
		if r.pattern.MatchString(name) {
			return r.pattern.ReplaceAllString(name, r.official)
		}
	}
	return name
}
