package cassandra

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"sync"

	"github.com/backstay-go/backstay/clients/cassandra/internal/driver"
	"github.com/backstay-go/backstay/clients/cassandra/internal/structs"
	"github.com/backstay-go/backstay/resilience"
)

// Select runs the query and yields its rows as values of T, page by page. T may be a
// struct, a map[string]any, or the type of the only column. The fields of a struct take
// the columns of their names (User or UserID: user, user_id), or of the name in a tag
// `cql:"name"`. A column without a field is an error, and so is a value that does not
// fit. If there is an error, it is the last element, with the zero value. The sequence
// may be used more than once; each use runs the query again.
func Select[T any](q *Query) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		it := q.Iter()
		for {
			v, ok := next[T](it)
			if !ok {
				break
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(zero, err)
		}
	}
}

// Result is a value together with its origin.
type Result[T any] struct {
	Value T
	Info
}

// Get runs the query and reads its first row as a T, as Select does. Without a row the
// error matches ErrNotFound. Options are those of the guard: values to return if the
// cluster can't be read, for example the last good one of a resilience.LastGood (the
// profile's Stale says how old it may be). Info describes the result: Source, Age,
// Cause. A profile that fails over or degrades does so before the options are used.
func Get[T any](q *Query, opts ...resilience.CallOption[T]) (Result[T], error) {
	x, err := q.execution(q.pageState)
	if err == nil && x.st.write {
		err = x.wrong("Get reads; run writes with Exec or CAS")
	}
	if err != nil {
		return Result[T]{}, err
	}
	var from answered
	get := func(ctx context.Context, r *driver.Request, call *driver.Call, as responder) (T, error) {
		return firstRow[T](ctx, q, x, r, call, as, &from)
	}
	if x.profile.degraded != nil || x.profile.remote != nil {
		opts = append(fallbacks(x, get), opts...)
	}
	x.begin(q.context())
	res, err := resilience.Do(q.context(), x.profile.run, func(ctx context.Context) (T, error) {
		return get(ctx, &x.request, &x.call, primary)
	}, opts...)
	q.info = Info{Profile: x.profile.name, Source: res.Source, Age: res.Age, Cause: res.Cause, Consistency: Consistency(x.request.Consistency), Attempts: res.Attempts}
	if res.Source != resilience.Stale && res.Source != resilience.Cache {
		from.into(&q.info)
		q.info.answeredBy(x, res.Cause)
	}
	if err != nil {
		err = x.settle(err)
	}
	return Result[T]{res.Value, q.info}, err
}

// answered is the first page that had a row.
type answered struct {
	mu   sync.Mutex
	page driver.Page
}

func (a *answered) by(page driver.Page) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.page == nil {
		a.page = page
	}
}

func (a *answered) into(info *Info) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.page == nil {
		return
	}
	info.Coordinator, info.Warnings, info.TraceID = a.page.Coordinator(), a.page.Warnings(), a.page.TraceID()
}

// firstRow reads pages until one has a row.
func firstRow[T any](ctx context.Context, q *Query, x *execution, r *driver.Request, call *driver.Call, as responder, from *answered) (v T, err error) {
	for {
		page, err := x.tell(ctx, r, call, as)
		if err != nil {
			return v, err
		}
		ok, err := read(page, &v)
		switch {
		case err != nil:
			return v, x.wrong(err.Error())
		case ok:
			from.by(page)
			return v, nil
		case page.Err() != nil:
			return v, x.unreadable(page.Err())
		case len(page.State()) == 0 || q.onePage:
			return v, q.notFound(page.Coordinator())
		}
		more := *r
		more.PageState = page.State()
		r = &more
	}
}

// next reads the next row; false at the end and on an error.
func next[T any](it *Iter) (v T, ok bool) {
	ok = it.advance(func(p driver.Page) bool {
		ok, err := read(p, &v)
		if err != nil {
			it.err = it.running.wrong(err.Error())
		}
		return ok
	})
	return v, ok
}

// read moves one row into v. It returns false at the end of the page and on an error.
// The page has the error, unless it is one of this package.
func read[T any](p driver.Page, v *T) (ok bool, err error) {
	if row, is := any(v).(*map[string]any); is {
		*row, ok = p.Row()
		return ok, nil
	}
	if structs.Of(reflect.TypeFor[T]()) == nil {
		return p.Next(v), nil
	}
	if p.Rows() == 0 {
		return false, nil
	}
	dest, err := pointersByName(reflect.ValueOf(v).Elem(), p.Columns())
	if err != nil {
		return false, err
	}
	return p.Next(dest...), nil
}

// pointersByName returns where a struct keeps each column, in order.
func pointersByName(v reflect.Value, columns []driver.Column) ([]any, error) {
	fields := structs.Of(v.Type())
	dest := make([]any, len(columns))
	for i, c := range columns {
		index, ok := fields[c.Name]
		if !ok {
			return nil, fmt.Errorf("%v has no field for column %q; name one so, tag it `cql:%q`, or leave the column out", v.Type(), c.Name, c.Name)
		}
		dest[i] = structs.Pointer(v, index).Interface()
	}
	return dest, nil
}
