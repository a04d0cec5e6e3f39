package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// benchRecord is what bench/run.py writes, as far as it is drawn.
type benchRecord struct {
	Date    string   `json:"date"`
	Threads int      `json:"threads"`
	Rounds  int      `json:"rounds"`
	Device  string   `json:"device"`
	Rate    float64  `json:"sgemm_gflops"`
	Command []string `json:"command"`
	Machine struct {
		CPU  string  `json:"cpu"`
		GPU  string  `json:"gpu"`
		Load float64 `json:"load_before"`
	} `json:"machine"`
	Rows []struct {
		Name    string   `json:"name"`
		Go      *float64 `json:"go_median_s"`
		Python  *float64 `json:"py_median_s"`
		Ratio   *float64 `json:"ratio"`
		Goal    *float64 `json:"goal"`
		Memory  *float64 `json:"rss_ratio"`
		GoMB    *float64 `json:"go_rss_mb"`
		GoShare *float64 `json:"go_share_of_limit"`
		PyShare *float64 `json:"py_share_of_limit"`
		Side    string   `json:"python"`
	} `json:"rows"`
}

// benchTable is a row for each row of the bench.json files, in their order.
func benchTable(folder string, names []string) (string, error) {
	lines := [][]string{{"work", "samtune, s", "Python, s", "ratio", "goal", "of limit", "samtune, MB", "memory ratio", "beside"}}
	var by strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "", fmt.Errorf("read results: %w", err)
		}
		var r benchRecord
		if err := json.Unmarshal(text, &r); err != nil {
			return "", fmt.Errorf("read %q: %w", name, err)
		}
		for _, row := range r.Rows {
			share := ""
			if row.GoShare != nil && row.PyShare != nil {
				share = fmt.Sprintf("%.0f / %.0f %%", 100**row.GoShare, 100**row.PyShare)
			}
			ratio := optional("%.2f", row.Ratio)
			if row.Ratio != nil && row.Goal != nil && *row.Ratio <= *row.Goal {
				ratio = "**" + ratio + "**"
			}
			lines = append(lines, []string{row.Name, seconds(row.Go), seconds(row.Python), ratio, optional("%.2g", row.Goal), share,
				optional("%.0f", row.GoMB), optional("%.2f", row.Memory), row.Side})
		}
		date, _, _ := strings.Cut(r.Date, "T")
		device := r.Device
		if r.Machine.GPU != "" {
			device += " (" + r.Machine.GPU + ")"
		}
		fmt.Fprintf(&by, "\n`bench/run.py %s`, %s: %s, %d threads, %s, medians of %d; load before %.1f", strings.Join(r.Command, " "), date, r.Machine.CPU,
			r.Threads, device, r.Rounds, r.Machine.Load)
		if r.Rate > 0 {
			fmt.Fprintf(&by, "; a large matrix product %.0f GFLOP/s", r.Rate)
		}
		by.WriteString(".\n")
	}
	return markdown(lines) + by.String(), nil
}

func seconds(v *float64) string {
	switch {
	case v == nil:
		return "–"
	case *v < 0.1:
		return fmt.Sprintf("%.4f", *v)
	case *v < 10:
		return fmt.Sprintf("%.2f", *v)
	}
	return fmt.Sprintf("%.0f", *v)
}

func optional(form string, v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf(form, *v)
}
