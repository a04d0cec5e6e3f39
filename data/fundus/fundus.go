// Package fundus draws synthetic photographs of the retina together with the exact mask of their
// vessels: a benchmark that needs no data. The same number gives the same picture.
package fundus

import (
	"math"
	"math/rand/v2"
)

// Side is the pictures' width and height in pixels.
const Side = 288

// Picture is one generated photograph; all planes have Side rows of Side pixels.
type Picture struct {
	Side    int
	RGB     []uint8 // 3 bytes a pixel
	Vessels []uint8 // 1 where at least half of a pixel is vessel
	Field   []uint8 // 1 inside the field of view
}

const (
	centre = float64(Side) / 2
	radius = float64(Side)*0.5 - 10 // of the field of view
)

// scene is a picture under construction; planes hold light from 0 to 1.
type scene struct {
	r         *rand.Rand
	disc      point   // centre of the optic disc
	macula    point   // centre of the macula
	side      float64 // 1: the disc lies right of the macula, -1: left
	red       []float64
	green     []float64
	blue      []float64
	coverage  []float64 // share of a pixel that is vessel
	darkening []float64 // how much light the vessels take
}

type point struct{ x, y float64 }

// Draw draws picture number n.
func Draw(n uint64) *Picture {
	s := &scene{r: rand.New(rand.NewPCG(n, 0x66756e647573)), side: 1}
	if s.r.IntN(2) == 0 {
		s.side = -1
	}
	size := Side * Side
	s.red, s.green, s.blue = make([]float64, size), make([]float64, size), make([]float64, size)
	s.coverage, s.darkening = make([]float64, size), make([]float64, size)
	s.disc = point{centre + s.side*radius*s.between(0.42, 0.58), centre + radius*s.between(-0.12, 0.12)}
	s.macula = point{s.disc.x - s.side*radius*s.between(0.62, 0.72), s.disc.y + radius*s.between(0.0, 0.12)}
	s.ground()
	s.opticDisc()
	s.trees()
	s.lesions()
	s.vessels()
	return s.develop()
}

func (s *scene) between(low, high float64) float64 { return low + (high-low)*s.r.Float64() }

// each calls f for every pixel with its centre.
func each(f func(i int, x, y float64)) {
	for y := range Side {
		for x := range Side {
			f(y*Side+x, float64(x)+0.5, float64(y)+0.5)
		}
	}
}

// bump is a smooth hill of height 1 with the given radius at half its height.
func bump(dx, dy, half float64) float64 {
	return math.Exp(-0.6931 * (dx*dx + dy*dy) / (half * half))
}

// ground is the retina without vessels: reddish, lit unevenly, with the texture of the choroid behind it
// and the dark macula.
func (s *scene) ground() {
	tint := s.between(0.9, 1.1)
	light := point{centre + radius*s.between(-0.35, 0.35), centre + radius*s.between(-0.35, 0.35)}
	type wave struct{ fx, fy, phase, height float64 }
	waves := make([]wave, 22)
	for i := range waves {
		direction, frequency := s.between(0, math.Pi), s.between(0.02, 0.22)
		waves[i] = wave{frequency * math.Cos(direction), frequency * math.Sin(direction), s.between(0, 2*math.Pi), 0.010 * s.between(0.4, 1) / (0.3 + 4*frequency)}
	}
	dark := s.between(0.22, 0.34)
	each(func(i int, x, y float64) {
		away := math.Hypot(x-centre, y-centre) / radius
		shade := 1 - 0.34*away*away + 0.16*bump(x-light.x, y-light.y, 0.6*radius)
		texture := 0.0
		for _, w := range waves {
			texture += w.height * math.Sin(w.fx*x+w.fy*y+w.phase)
		}
		yellow := dark * bump(x-s.macula.x, y-s.macula.y, 0.2*radius)
		shade *= 1 - 0.6*yellow + texture
		s.red[i] = 0.74 * tint * shade
		s.green[i] = 0.37 * shade * (1 - 0.5*yellow + 0.7*texture)
		s.blue[i] = 0.17 * shade / tint
	})
}

// opticDisc is the bright disc with its paler cup.
func (s *scene) opticDisc() {
	size := radius * s.between(0.145, 0.175)
	stretch := s.between(0.9, 1.0)
	each(func(i int, x, y float64) {
		d := math.Hypot((x-s.disc.x)/stretch, y-s.disc.y) / size
		edge := 1 / (1 + math.Exp(14*(d-1)))
		cup := bump((x-s.disc.x)/stretch, y-s.disc.y, 0.45*size)
		s.red[i] += edge * (0.22 + 0.06*cup)
		s.green[i] += edge * (0.28 + 0.16*cup)
		s.blue[i] += edge * (0.14 + 0.18*cup)
	})
}

// lesions are things that are not vessels: bright spots as of exudates, dark blobs as of bleedings, short
// dark streaks of the nerve fibres.
func (s *scene) lesions() {
	place := func() point {
		angle, away := s.between(0, 2*math.Pi), radius*0.9*math.Sqrt(s.r.Float64())
		return point{centre + away*math.Cos(angle), centre + away*math.Sin(angle)}
	}
	for range s.r.IntN(14) {
		p, size, strength := place(), s.between(0.8, 2.6), s.between(0.1, 0.3)
		s.spot(p, size, strength, strength*0.95, strength*0.4)
	}
	for range 2 + s.r.IntN(7) {
		p, size, strength := place(), s.between(1.2, 4.2), s.between(0.06, 0.16)
		s.spot(p, size, -0.6*strength, -strength, -0.5*strength)
	}
}

func (s *scene) spot(p point, size, red, green, blue float64) {
	reach := int(3*size) + 1
	for y := max(0, int(p.y)-reach); y < min(Side, int(p.y)+reach); y++ {
		for x := max(0, int(p.x)-reach); x < min(Side, int(p.x)+reach); x++ {
			b := bump(float64(x)+0.5-p.x, float64(y)+0.5-p.y, size)
			i := y*Side + x
			s.red[i] += red * b
			s.green[i] += green * b
			s.blue[i] += blue * b
		}
	}
}

// vessels takes the light of the vessels off the ground.
func (s *scene) vessels() {
	for i, d := range s.darkening {
		s.red[i] *= 1 - 0.42*d
		s.green[i] *= 1 - d
		s.blue[i] *= 1 - 0.62*d
	}
}

// develop blurs a little as a lens does, cuts out the field of view, adds the sensor's noise and brings
// light to 8 bits.
func (s *scene) develop() *Picture {
	p := &Picture{Side: Side, RGB: make([]uint8, 3*Side*Side), Vessels: make([]uint8, Side*Side), Field: make([]uint8, Side*Side)}
	gain := s.between(0.88, 1.08)
	noise := s.between(0.008, 0.02)
	for c, plane := range [][]float64{s.red, s.green, s.blue} {
		soft := blur(plane)
		each(func(i int, x, y float64) {
			away := math.Hypot(x-centre, y-centre)
			inside := math.Min(1, math.Max(0, radius+0.5-away))
			v := gain*soft[i]*inside + 0.012 + noise*s.r.NormFloat64()*(0.25+0.75*inside)
			p.RGB[3*i+c] = uint8(math.Min(255, math.Max(0, 255*v)) + 0.5)
		})
	}
	each(func(i int, x, y float64) {
		if math.Hypot(x-centre, y-centre) <= radius {
			p.Field[i] = 1
			if s.coverage[i] >= 0.5 {
				p.Vessels[i] = 1
			}
		}
	})
	return p
}

// blur averages each pixel with its neighbours, 1 2 1 in both directions.
func blur(plane []float64) []float64 {
	pass := func(in []float64, step int, at func(i int) (position int)) []float64 {
		out := make([]float64, len(in))
		for i := range in {
			before, after := i, i
			if at(i) > 0 {
				before = i - step
			}
			if at(i) < Side-1 {
				after = i + step
			}
			out[i] = (in[before] + 2*in[i] + in[after]) / 4
		}
		return out
	}
	across := pass(plane, 1, func(i int) int { return i % Side })
	return pass(across, Side, func(i int) int { return i / Side })
}
