"""From stored images to the pixels of a batch: decoding, cropping, resizing, augmentation. No JAX: reader processes load this alone.

| file | what it holds |
|---|---|
| `decode` | files as pixels, by the fastest decoder that knows the format |
| `orientation` | which way up a file is |
| `crop` | which part of an image: random for training, centred for evaluation |
| `resample` | that part at the size of the network's input |
| `randaugment` | random distortions of an image |
| `mix` | two images of a batch in one: mixup and cutmix |
| `preparation` | all of it in order, for one example |
| `randomness` | chance keyed by example, not by reader |
"""
