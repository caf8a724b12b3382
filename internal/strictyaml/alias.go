package strictyaml

import "go.yaml.in/yaml/v4"

// maxExpanded bounds the number of values that are read through aliases. A few lines of aliases
// can stand for more text than fits into memory.
const maxExpanded = 50_000

// resolve follows aliases to the node that they stand for. The node is nil if it can't be read;
// that has then been reported. Call the returned function after the node was read: until then, an
// alias of the same anchor means that the anchor contains itself.
func (d *Document) resolve(n *yaml.Node, path string) (*yaml.Node, func()) {
	var opened []*yaml.Node
	done := func() {
		for _, o := range opened {
			delete(d.open, o)
		}
	}
	where := at(n)
	if (len(d.open) > 0 || n.Kind == yaml.AliasNode) && !d.spend(1, where, path) {
		return nil, done
	}
	for n.Kind == yaml.AliasNode {
		target := n.Alias
		switch {
		case target == nil:
			d.wrong(where, path, "refers to *"+n.Value+", and there is no &"+n.Value, "define the anchor before, or write it out")
			return nil, done
		case d.open[target]:
			d.wrong(where, path, "refers to *"+n.Value+", which contains it", "write it out")
			return nil, done
		}
		d.open[target] = true
		opened = append(opened, target)
		n = target
	}
	return n, done
}

// spend counts values that are read through aliases. It returns false if there are too many, and
// reports that once.
func (d *Document) spend(values int, where place, path string) bool {
	before := d.expanded
	d.expanded += values
	if before <= maxExpanded && d.expanded > maxExpanded {
		d.wrong(where, path, "stands for too much text, by references to references", "write it out")
	}
	return d.expanded <= maxExpanded
}
