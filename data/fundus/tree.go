package fundus

import "math"

// vessel is the tip of a vessel that grows.
type vessel struct {
	at        point
	direction float64 // radians
	width     float64 // pixels
	bend      float64 // change of direction a pixel
	artery    bool
	level     int // how often it branched
}

// trees grows an artery and a vein into each quadrant from the disc. The temporal pairs arch around the
// macula, the nasal ones run outward.
func (s *scene) trees() {
	for _, vertical := range []float64{-1, 1} {
		for _, temporal := range []bool{true, false} {
			for _, artery := range []bool{false, true} {
				v := vessel{at: s.disc, artery: artery, width: s.between(5.0, 6.6)}
				if artery {
					v.width *= 0.76
				}
				up := vertical * math.Pi / 2
				spread := s.between(-0.22, 0.22)
				if temporal {
					// upward and away from the macula first, then back around it
					v.direction = up + s.side*vertical*(0.1+spread) + pick(artery, 0.12, -0.12)
					v.bend = s.side * vertical * s.between(0.009, 0.0125)
				} else {
					v.direction = up - s.side*vertical*s.between(0.55, 0.95) + pick(artery, 0.2, -0.2)
					v.bend = s.side * vertical * s.between(-0.002, 0.004)
					v.width *= 0.8
				}
				v.at.x += s.between(-3, 3)
				s.grow(v)
			}
		}
	}
	for range 3 + s.r.IntN(3) { // fine vessels straight out of the disc, toward the macula and away from it
		direction := s.between(-0.6, 0.6)
		if s.r.IntN(2) == 0 {
			direction += math.Pi
		}
		s.grow(vessel{at: s.disc, direction: direction, width: s.between(1.8, 2.6), artery: s.r.IntN(2) == 0, level: 2})
	}
}

func pick(first bool, a, b float64) float64 {
	if first {
		return a
	}
	return b
}

// thinnest is the width at which a vessel ends.
const thinnest = 1.15

// grow draws a vessel to its end, pixel by pixel, with the branches that leave it.
func (s *scene) grow(v vessel) {
	wobble, phase := s.between(0.03, 0.08), s.between(0, 2*math.Pi)
	period := s.between(16, 34)
	until := s.between(16, 34) // pixels to the next branch
	for step := 0.0; v.width > thinnest && v.level < 7; step++ {
		v.direction += v.bend + wobble*math.Cos(phase+2*math.Pi*step/period)*0.55 + 0.022*s.r.NormFloat64()
		v.at.x += math.Cos(v.direction)
		v.at.y += math.Sin(v.direction)
		if math.Hypot(v.at.x-centre, v.at.y-centre) > radius+6 {
			return
		}
		nearMacula := math.Hypot(v.at.x-s.macula.x, v.at.y-s.macula.y) / radius
		if nearMacula < 0.13 { // no vessel crosses the fovea
			return
		}
		s.stamp(v)
		v.width *= 0.9975
		if until--; until > 0 {
			continue
		}
		until = s.between(14, 36)
		// Murray's law: the cubes of the widths of parent and children balance.
		share := s.between(0.12, 0.5)
		child := v
		child.level++
		child.width = v.width * math.Cbrt(share)
		v.width *= math.Cbrt(1 - share)
		sign := pick(s.r.IntN(2) == 0, 1, -1)
		fork := s.between(0.5, 1.05)
		child.direction += sign * fork * (1 - 0.5*share)
		child.bend = -sign * s.between(0, 0.012)
		v.direction -= sign * fork * share * 0.6
		s.grow(child)
	}
}

// stamp draws one pixel's length of a vessel: how much of each pixel it covers, and the light it takes,
// most in its middle. Arteries take less and shine in their middle.
func (s *scene) stamp(v vessel) {
	half := v.width / 2
	reach := int(half) + 2
	depth := 0.50
	if v.artery {
		depth = 0.37
	}
	depth *= math.Min(1, 0.55+0.13*v.width) // thin vessels are faint
	for y := max(0, int(v.at.y)-reach); y <= min(Side-1, int(v.at.y)+reach); y++ {
		for x := max(0, int(v.at.x)-reach); x <= min(Side-1, int(v.at.x)+reach); x++ {
			d := math.Hypot(float64(x)+0.5-v.at.x, float64(y)+0.5-v.at.y)
			cover := math.Min(1, math.Max(0, half+0.5-d))
			if cover == 0 {
				continue
			}
			i := y*Side + x
			s.coverage[i] = math.Max(s.coverage[i], cover)
			profile := cover * (0.72 + 0.28*math.Sqrt(math.Max(0, 1-d*d/(half*half+0.25))))
			if v.artery && v.width > 3 {
				profile *= 1 - 0.3*bump(d, 0, 0.22*v.width)
			}
			s.darkening[i] = math.Max(s.darkening[i], depth*profile)
		}
	}
}
