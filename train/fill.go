package train

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"samtune/data"
	"samtune/internal/featurecache"
	"samtune/internal/tensor"
	"samtune/model"
)

// Want is a view with the features that are wanted of it.
type Want struct {
	View
	Features []string
	read     func(id string) (*data.Sample, error)
}

// Later lets go of the picture's pixels, which read gives again when the view goes through the encoder: what is wanted of many pictures
// takes no memory.
func (w Want) Later(read func(id string) (*data.Sample, error)) Want {
	w.Sample, w.read = &data.Sample{ID: w.Sample.ID}, read
	return w
}

// open gives a view its picture back.
func (w Want) open() (Want, error) {
	if w.read == nil {
		return w, nil
	}
	sample, err := w.read(w.Sample.ID)
	if err == nil && sample == nil {
		err = fmt.Errorf("encode %s: there is no case of that name any more", w.Sample.ID)
	}
	w.Sample, w.read = sample, nil
	return w, err
}

// merge joins what is wanted of one and the same view, so that it goes through the encoder once.
func merge(wants []Want) []Want {
	type id struct{ image, geometry string }
	at := map[id]int{}
	var out []Want
	for _, w := range wants {
		k := id{w.Image, w.Geometry.String()}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Want{View: w.View, read: w.read})
		}
		for _, f := range w.Features {
			if f != model.Pixels && !slices.Contains(out[i].Features, f) { // pixels are made faster than they are read
				out[i].Features = append(out[i].Features, f)
			}
		}
	}
	return out
}

// encodingName is the file of locks that keep two processes from sending the same view through the encoder: who does it holds the
// byte that stands for the view.
const encodingName = ".encoding"

// at is the byte that stands for a view.
func (c *EmbeddingCache) at(m *model.Model, v View) int64 {
	sum := sha256.Sum256([]byte(c.Key(m, v, "")))
	return int64(binary.LittleEndian.Uint64(sum[:]) >> 2)
}

// Fill makes sure that the features that are wanted are on disk, as far as the budget goes, and calls begin
// with the number of views and done after each of them. A view that another process is encoding is waited for. It stops
// between two passes through the encoder when ctx ends.
func (c *EmbeddingCache) Fill(ctx context.Context, m *model.Model, wants []Want, begin func(views int), done func()) error {
	wants = merge(wants)
	begin(len(wants))
	locks, err := featurecache.OpenLocks(c.Dir, encodingName)
	if err != nil {
		return err
	}
	defer locks.Close()
	f := &filling{c: c, m: m, locks: locks, batch: c.Batch, done: done, encode: c.encode}
	if m.Device().CUDA() {
		f.stack, f.batch = true, c.stack()
	} else {
		f.batch = cmp.Or(f.batch, m.Together())
	}
	var elsewhere []Want
	for _, w := range wants {
		ok, err := locks.Try(c.at(m, w.View))
		if err != nil {
			return err
		}
		if !ok {
			elsewhere = append(elsewhere, w)
			continue
		}
		if err := f.add(ctx, w); err != nil {
			return err
		}
	}
	if err := f.flush(ctx); err != nil {
		return err
	}
	for _, w := range elsewhere {
		if err := locks.Wait(ctx, c.at(m, w.View)); err != nil {
			return err
		}
		if err := f.add(ctx, w); err != nil {
			return err
		}
		if err := f.flush(ctx); err != nil { // nothing is held while another view is waited for
			return err
		}
	}
	return nil
}

// filling is a call of Fill under way.
type filling struct {
	c       *EmbeddingCache
	m       *model.Model
	locks   *featurecache.Locks
	stack   bool // a batch goes through the encoder as one, not each view on a thread of its own
	batch   int
	missing []Want // locked, to go through the encoder
	done    func()
	mu      sync.Mutex // of locks and done, while several views are under way
	encode  func(s *tensor.Scope, m *model.Model, wants []Want, full int) ([]map[string]*tensor.Tensor, error)
}

// add takes a view that is locked.
func (f *filling) add(ctx context.Context, w Want) error {
	ok, err := f.c.has(f.m, w)
	if err != nil {
		return err
	}
	place := false
	if ok {
		f.c.Found++
	} else if place, err = f.c.reserve(f.c.bytes(f.m, w.Features)); err != nil {
		return err
	} else if !place {
		f.c.Homeless++
	}
	if !place {
		f.locks.Free(f.c.at(f.m, w.View))
		f.done()
		return nil
	}
	if f.missing = append(f.missing, w); len(f.missing) >= f.full() {
		return f.flush(ctx)
	}
	return nil
}

// full is how many views are gathered before they go through the encoder: some for each thread, so that nothing waits for long, or so many
// batches that few of them have to be filled up.
func (f *filling) full() int {
	if f.stack {
		return 32 * f.batch
	}
	return 4 * f.batch
}

// flush sends what is missing through the encoder: as many at a time as a batch has, or where that runs out of memory fewer.
func (f *filling) flush(ctx context.Context) error {
	for len(f.missing) > 0 {
		err := f.pass(ctx)
		n := f.batch // also of a batch that was filled up
		if !f.stack {
			n = min(n, len(f.missing))
		}
		if n > 1 && errors.Is(err, tensor.ErrMemory) {
			f.batch = (n + 1) / 2
			if f.c.Smaller != nil {
				f.c.Smaller(f.batch)
			}
			continue
		}
		if errors.Is(err, tensor.ErrMemory) {
			return fmt.Errorf("encode %s: %w: even one view at a time: end other programs on the device, encode in half precision (--precision bfloat16), "+
				"or take a smaller model, as lite_medsam", f.missing[0].Sample.ID, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pass sends views through the encoder: stacked, or each on a thread of its own. What is written is no longer missing, also where another
// view fails.
func (f *filling) pass(ctx context.Context) error {
	groups := f.groups()
	written := make([]bool, len(groups))
	var err error
	if f.stack {
		err = f.inTurn(ctx, groups, written)
	} else {
		err = f.m.Device().Each(len(groups), f.batch, func(s *tensor.Scope, i int) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			wants, err := open(groups[i])
			if err != nil {
				return err
			}
			features, err := f.group(s, wants)
			if err == nil {
				err = f.write(wants, features)
			}
			written[i] = err == nil
			return err
		})
	}
	f.missing = nil
	for i, group := range groups {
		if !written[i] {
			f.missing = append(f.missing, group...)
		}
	}
	return err
}

// size is how many views go through the encoder together.
func (f *filling) size() int {
	if f.stack {
		return f.batch
	}
	return 1
}

// groups are what goes through the encoder together of what is missing: batches of one kind, or one view each.
func (f *filling) groups() [][]Want {
	if !f.stack {
		return slices.Collect(slices.Chunk(f.missing, f.size()))
	}
	var kinds [][]Want // by features
	for _, w := range f.missing {
		i := slices.IndexFunc(kinds, func(kind []Want) bool { return slices.Equal(kind[0].Features, w.Features) })
		if i < 0 {
			i, kinds = len(kinds), append(kinds, nil)
		}
		kinds[i] = append(kinds[i], w)
	}
	var groups [][]Want
	for _, kind := range kinds {
		groups = slices.AppendSeq(groups, slices.Chunk(kind, f.size()))
	}
	return groups
}

// writing bounds the batches that wait for the disk.
const writing = 8

// inTurn encodes one group after the other; meanwhile the next one's pictures are read and the features of those before are written. More
// threads that give a GPU work would each choose its kernels for themselves, which takes longer than a small job.
func (f *filling) inTurn(ctx context.Context, groups [][]Want, written []bool) error {
	type read struct {
		wants []Want
		err   error
	}
	ahead := func(i int) chan read {
		c := make(chan read, 1)
		if i < len(groups) {
			go func() {
				wants, err := open(groups[i])
				c <- read{wants, err}
			}()
		}
		return c
	}
	var writers errgroup.Group
	writers.SetLimit(writing)
	next := ahead(0)
	var failed error
	for i := range groups {
		r := <-next
		if failed = cmp.Or(r.err, ctx.Err()); failed != nil {
			break
		}
		next = ahead(i + 1)
		var features []encoded
		if failed = f.m.Device().Run(func(s *tensor.Scope) (err error) { features, err = f.group(s, r.wants); return err }); failed != nil {
			break
		}
		writers.Go(func() error {
			err := f.write(r.wants, features)
			written[i] = err == nil
			return err
		})
	}
	return cmp.Or(failed, writers.Wait())
}

// open gives views their pictures back.
func open(group []Want) ([]Want, error) {
	wants := slices.Clone(group)
	for i := range wants {
		var err error
		if wants[i], err = wants[i].open(); err != nil {
			return nil, err
		}
	}
	return wants, nil
}

// encoded is a feature on its way to the disk.
type encoded struct {
	path, name string
	host       *tensor.Tensor // kept
}

// group sends views through the encoder as one. The features are write's to drop.
func (f *filling) group(s *tensor.Scope, wants []Want) ([]encoded, error) {
	out, err := f.encode(s, f.m, wants, f.size())
	if err != nil {
		return nil, err
	}
	var features []encoded
	var made []*tensor.Tensor
	for i, w := range wants {
		for _, name := range w.Features {
			t := s.Contiguous(out[i][name])
			made = append(made, t)
			features = append(features, encoded{f.c.path(f.c.Key(f.m, w.View, name)), name, s.Host(t)})
		}
	}
	for i, e := range features { // nothing is held of a batch that runs out of memory: a smaller one has other last digits
		s.Keep(e.host)
		f.c.hold(s, e.path, made[i])
	}
	return features, nil
}

// write writes the features of some views, who are done then.
func (f *filling) write(wants []Want, features []encoded) error {
	defer func() {
		for _, e := range features {
			e.host.Drop()
		}
	}()
	for _, e := range features {
		if err := f.c.write(e.path, e.name, f.c.element(), e.host.Shape(), e.host.Memory()); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range wants {
		f.locks.Free(f.c.at(f.m, w.View))
		f.done()
	}
	return nil
}
