"""Our names for the types and keys of other libraries.

Case, underscores and hyphens do not matter: ``BCEWithLogitsLoss``, ``kernel_size``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping


def plain(word: str) -> str:
    """``Conv2D_Transpose`` -> ``conv2dtranspose``."""
    return re.sub("[^a-z0-9]", "", word.lower())


def _pairs(text: str) -> list[tuple[str, str]]:
    """(theirs, ours) of lines ``ours: theirs theirs``."""
    lines = (line.partition(":") for line in text.strip().splitlines())
    return [(theirs, ours.strip()) for ours, _, words in lines for theirs in words.split()]


def _table(text: str) -> dict[str, str]:
    return dict(_pairs(text))


def _candidates(text: str) -> dict[str, tuple[str, ...]]:
    """As ``_table``, with several of our words for one of theirs, separated by commas or on several lines."""
    found: dict[str, tuple[str, ...]] = {}
    for theirs, ours in _pairs(text):
        found[theirs] = (*found.get(theirs, ()), *ours.split(","))
    return found


_TYPES: Mapping[str, Mapping[str, str]] = {
    "layer": _table("""
        dense: linear fc fullyconnected affine innerproduct
        conv1d: convolution1d
        conv2d: conv convolution convolution2d
        conv2d_transpose: convtranspose2d convolution2dtranspose deconv deconvolution
        max_pool: maxpool1d maxpool2d maxpooling1d maxpooling2d maxpooling
        average_pool: avgpool avgpool1d avgpool2d averagepooling1d averagepooling2d averagepooling
        global_average_pool: globalaveragepooling1d globalaveragepooling2d globalavgpool gap adaptiveavgpool2d
        global_max_pool: globalmaxpooling1d globalmaxpooling2d adaptivemaxpool2d
        batch_norm: batchnormalization batchnorm1d batchnorm2d bn
        layer_norm: layernormalization ln
        group_norm: groupnormalization
        rms_norm: rmsnormalization
        spatial_dropout: dropout2d spatialdropout1d spatialdropout2d
        rnn: simplernn elman
        attention: multiheadattention multiheadedattention selfattention mha
        concat: concatenate merge cat
        multiply: mul
        upsample: upsampling2d upsamplingnearest2d upsamplingbilinear2d
        positional_embedding: positionalencoding positionencoding positionembedding
        block: sequential residual resblock residualblock
    """),
    "activation": _table("""
        silu: swish
        identity: linear none
        leaky_relu: lrelu
        sigmoid: logistic
    """),
    "loss": _table("""
        cross_entropy: crossentropyloss categoricalcrossentropy sparsecategoricalcrossentropy nll nllloss softmax ce
        binary_cross_entropy: bce bceloss bcewithlogits bcewithlogitsloss binarycrossentropy logloss
        mean_squared_error: mse mseloss l2 l2loss squarederror
        mean_absolute_error: mae maeloss l1 l1loss absoluteerror
        huber: huberloss smoothl1 smoothl1loss
        kl_divergence: kl kld kldiv kldivloss kldivergence kullbackleiblerdivergence
        poisson: poissonnllloss poissonloss
        quantile: pinball pinballloss quantileloss
        focal: focalloss categoricalfocalcrossentropy
        binary_focal: binaryfocalcrossentropy
        hinge: multimarginloss hingeloss categoricalhinge
        cosine_similarity: cosineembeddingloss cosine
    """),
    "optimizer": _table("""
        sgd: gd gradientdescent stochasticgradientdescent
    """),
    "schedule": _table("""
        cosine: cosineannealing cosineannealinglr cosinedecay
        exponential: exponentiallr exponentialdecay
        linear: linearlr polynomialdecay
        one_cycle: onecyclelr
        plateau: reducelronplateau
        step: steplr multisteplr piecewiseconstantdecay
        constant: constantlr
    """),
    "metric": _table("""
        accuracy: acc categoricalaccuracy sparsecategoricalaccuracy binaryaccuracy
        top_k_accuracy: top5 topk topkcategoricalaccuracy
        mean_squared_error: mse
        mean_absolute_error: mae
        root_mean_squared_error: rmse
        mean_absolute_percentage_error: mape
        log_loss: crossentropy logloss nll
        f1: f1score
        r2: r2score
        roc_auc: auc rocauc
        brier_score: brier
    """),
    "initializer": _table("""
        glorot_uniform: xavier glorot xavieruniform
        glorot_normal: xaviernormal
        he_normal: he kaiming kaimingnormal
        he_uniform: kaiminguniform
        lecun_normal: lecun
        normal: randomnormal gaussian truncatednormal
        uniform: randomuniform
        zeros: zero
        ones: one
    """),
    "average": _table("""
        ema: exponentialmovingaverage polyak
        swa: stochasticweightaveraging
    """),
}

_WRITTEN: Mapping[tuple[str, str], str] = {
    ("layer", "bidirectional"): "write {type: lstm, bidirectional: true, units: ...}",
    ("layer", "input"): "the shape of one example is model.input; leave the layer out",
    ("layer", "inputlayer"): "the shape of one example is model.input; leave the layer out",
    ("optimizer", "nesterov"): "write {type: sgd, momentum: 0.9, nesterov: true}",
    ("optimizer", "momentum"): "write {type: sgd, momentum: 0.9}",
    ("metric", "loss"): "the loss is always computed; leave it out",
    ("metric", "valloss"): "the loss is always computed, on the validation split too; leave it out",
    ("optimizer", "amsgrad"): "write {type: adam, amsgrad: true}",
}
"""Types that ``bp`` writes as a mapping, or not at all."""

_KEYS: Mapping[str, tuple[str, ...]] = _candidates("""
    units,channels,width: units numclasses hiddensize hiddendim hiddenunits neurons nodes nunits outputdim outdim dim
    channels,units: filters outchannels numfilters nfilters
    units,channels: outfeatures
    units,width,kernel,factor,shape: size
    kernel,factor: kernelsize poolsize filtersize windowsize scalefactor
    stride: strides step
    dilation: dilationrate
    rate: p dropout prob probability dropoutrate dropprob ratio
    layers: numlayers nlayers
    heads: numheads nheads nhead
    tokens: vocabsize numembeddings inputdim
    width: embeddingdim embeddim embeddingsize outputsize
    context: maxlen maxlength maxpositions
    bias: usebias
    initializer: kernelinitializer weightinit init weightinitializer embeddingsinitializer
    regularization: kernelregularizer regularizer penalty
    negative_slope: alpha slope negativeslope
    groups: numgroups
    affine: elementwiseaffine center scale
    epsilon: eps
    axes: axis normalizedaxes
    shape: targetshape
    function: activation
    learning_rate: lr eta stepsize alpha
    beta1: momentum beta beta1
    alpha: rho
    rho: decay alpha
    initial_accumulator: initialaccumulatorvalue
    history: historysize m
    factor,to: gamma
    every_epochs: stepsize period
    warmup_steps: warmup numwarmupsteps
    minimum,to: minlr etamin
    batch_size: batch batchsize bs minibatch minibatchsize
    epochs: epoch numepochs nepochs nepoch nbepoch maxepochs niter
    max_steps: steps maxiter iterations numsteps
    accumulate: accumulationsteps gradientaccumulationsteps accumulategradbatches
    clip_norm: clipnorm gradclip gradientclip maxgradnorm gradientclipval
    clip_value: clipvalue
    precision: dtype
    threads: numworkers workers njobs numthreads
    monitor: metric watch
    restore_best: restorebestweights
    class_weight: classweights weight posweight
    label_smoothing: smoothing
    delta: beta
    source: path file filename csv datapath
    target: label labels y targetcolumn targets
    features: x columns inputs featurecolumns
    split,validation: valsize validationsplit valsplit validationsize
    split,test: testsize testsplit
    validation: valid
    stratify: stratified
    numeric: normalize normalise scaling scaler standardize
    seed: randomseed randomstate rngseed
    schedule: scheduler lrscheduler learningrateschedule
    loss: criterion objective lossfunction lossfn
    optimizer: optim
    model: network architecture net
    data: dataset
    average: averaging
    l2: weightdecay
    ignore: ignoreindex
""")
"""Our keys for each key of another library; a message suggests the first that the section has."""

_INFERRED = frozenset(["infeatures", "inchannels", "inputsize", "inputshape", "normalizedshape", "numfeatures"])
_REMARKS: Mapping[tuple[str, str], str] = {
    ("adam", "weightdecay"): "use type: adamw, which has weight_decay",
    ("adam", "decay"): "a schedule changes the learning rate, such as schedule: {type: exponential, factor: 0.95}",
    ("sgd", "decay"): "a schedule changes the learning rate, such as schedule: {type: exponential, factor: 0.95}",
    ("sgd", "weightdecay"): "regularization.l2 does that, for weights and not for biases",
    ("adam", "nesterov"): "use type: nadam",
    ("rmsprop", "weightdecay"): "regularization.l2 does that, for weights and not for biases",
    ("", "betas"): "did you mean 'beta1' and 'beta2'?",
    ("", "returnsequences"): "write output: sequence, or output: last",
    ("", "batchfirst"): "the batch is always the first axis; leave it out",
    ("", "fromlogits"): "losses take the last layer's logits; leave it out",
    ("", "keepprob"): "rate is the dropped share, 1 - keep_prob",
    ("", "numlayers"): "repeat the layer, or use a block with repeat",
    ("", "dropout"): "dropout is a layer of its own: {type: dropout, rate: ...}",
    ("", "activation"): "here an activation is a layer of its own: {type: activation, function: ...}",
    ("", "reduction"): "a loss is the mean over the batch; leave it out",
    ("", "delimiter"): "bp reads commas (format: csv) and tabs (format: tsv)",
    ("", "sep"): "bp reads commas (format: csv) and tabs (format: tsv)",
    ("", "separator"): "bp reads commas (format: csv) and tabs (format: tsv)",
    ("", "encoding"): "bp reads UTF-8; convert the file, for example with `iconv -f latin1 -t utf-8 old > new`",
    ("", "device"): "bp computes on the processor; leave it out",
    ("", "inplace"): "bp plans memory by itself; leave it out",
    ("", "trackrunningstats"): "running means and variances are always kept; leave it out",
}
"""Remarks on keys that ``bp`` does not have, by type ('': any type)."""

_VALUES: Mapping[tuple[str, str], str] = {
    ("padding", "same"): "write how many elements are added on each side",
    ("padding", "valid"): "write 0",
}
"""Hints for values of other libraries that a key does not accept."""


def translated_type(kind: str, word: str, known: Iterable[str]) -> str | None:
    """A hint at our name for another library's type; None if the word is not in the table."""
    short = plain(word)
    written = _WRITTEN.get((kind, short))
    if written is not None:
        return written
    names = {plain(name): name for name in known}
    ours = names.get(short) or _TYPES.get(kind, {}).get(short)
    return f"did you mean '{ours}'?" if ours in names.values() and ours != word else None


def translated_keys(word: str) -> tuple[str, ...]:
    """Our keys for another library's key, the most likely first."""
    return tuple(key for key in _KEYS.get(plain(word), ()) if key != word)


def remark(type_: str, word: str, has: Callable[[str], bool]) -> str | None:
    """A remark on an unknown key of a section of this type; ``has(key)``: whether the section has a key."""
    short = plain(word)
    if short in _INFERRED and not any(map(has, _KEYS.get(short, ()))):
        return "it follows from the layer's input; leave it out (the shape of one example is model.input)"
    return _REMARKS.get((type_, short)) or _REMARKS.get(("", short))


def translated_value(key: object, word: str) -> str:
    """A hint for a value of another library; empty if unknown."""
    return _VALUES.get((str(key), plain(word)), "")
