"""Keras layers and an optimiser that are faster than the stock ones on the TensorFlow backend.

Each class replaces the stock class of the same name: it has the same arguments and weights and
computes the same function. It uses its own kernels only if `fast()` is true. On other backends, and
with `GAAPLIB_STOCK_LAYERS=1` in the environment, every call goes to the stock class. The kernels
are chosen when a model is traced, so set the variable before the model is first called.
"""

import os

import keras
from keras import ops

# A convolution larger than 1 x 1 is computed as a matrix product if its map has at most this many positions (8 x 4).
# oneDNN reorders the kernel at each call, which takes longer than it saves on such small maps.
FEW_POSITIONS = 32


def on_tensorflow():
    """Whether the backend is TensorFlow. TensorFlow may be imported only if this is true."""
    return keras.backend.backend() == "tensorflow"


def fast():
    """Whether the classes of this module use their own kernels instead of the stock ones."""
    return on_tensorflow() and os.environ.get("GAAPLIB_STOCK_LAYERS", "0") in ("", "0")


@keras.saving.register_keras_serializable(package="gaaplib")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation of (batch, height, width, channels) in one fused kernel.

    Ioffe and Szegedy, "Batch Normalization", ICML 2015. Keras composes it from about ten operations
    in float32. The fused kernel accepts float16 and bfloat16 maps with float32 parameters directly.
    """

    def call(self, inputs, training=None, mask=None):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        plain = mask is None and not self.renorm and not self.synchronized
        last_axis = self.axis in (-1, 3) and len(inputs.shape) == 4
        if not (fast() and plain and last_axis and dtype != "float64"):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, bool(training and self.trainable))

    def _fused(self, inputs, training):
        """Apply the kernel to (batch, height, width, channels); in training, update the moving statistics."""
        import tensorflow as tf

        one, zero = tf.ones_like(self.moving_mean), tf.zeros_like(self.moving_mean)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma if self.scale else one,
            offset=self.beta if self.center else zero,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel returns the variance divided by n - 1; Keras uses the one divided by n.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
            variance *= (count - 1.0) / count
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs


@keras.saving.register_keras_serializable(package="gaaplib")
class InstanceBatchNormalization(keras.layers.Layer):
    """Instance normalisation of the first half of the channels, batch normalisation of the others.

    Pan et al., "Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net", ECCV 2018 (IBN-a). Shape:
    (batch, height, width, channels), unchanged.

    Args:
        momentum: of the batch's moving statistics.
        epsilon: added to both variances.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        *positions, channels = input_shape
        self.half = channels // 2
        # A group for each channel.
        self.instance = keras.layers.GroupNormalization(
            groups=-1, epsilon=self.epsilon, dtype=self.dtype_policy, name="instance"
        )
        self.batch = BatchNormalization(
            momentum=self.momentum, epsilon=self.epsilon, dtype=self.dtype_policy, name="batch"
        )
        self.instance.build((*positions, self.half))
        self.batch.build((*positions, channels - self.half))

    def call(self, inputs, training=None):
        first = self.instance(inputs[..., : self.half])
        return ops.concatenate([first, self.batch(inputs[..., self.half :], training=training)], axis=-1)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="gaaplib")
class Conv2D(keras.layers.Conv2D):
    """2D convolution, (batch, h, w, c) to (batch, h', w', filters), as a matrix product if that is faster.

    A 1 x 1 convolution is a dense layer at every position that the stride keeps (Lin et al., "Network in Network",
    ICLR 2014). A larger convolution, and the gradient of its kernel, are products with the input patches under the
    kernel (Chellapilla et al., "High Performance Convolutional Neural Networks for Document Processing", 2006). oneDNN
    computes these gradients slowly if the map has few positions or the stride is above 1; in other cases it is used.
    """

    def convolution_op(self, inputs, kernel):
        plain = self.groups == 1 and self.dilation_rate == (1, 1) and self.data_format == "channels_last"
        if not (fast() and plain and self.compute_dtype in ("bfloat16", "float32")):
            return super().convolution_op(inputs, kernel)
        if self.kernel_size == (1, 1):
            return self._product(inputs, kernel)
        if self._suits_patches(inputs.shape):
            return self._with_patches(inputs, kernel)
        return super().convolution_op(inputs, kernel)

    def _suits_patches(self, shape):
        """Whether products with patches are fast. They are not for large kernels, whose patches take long to copy."""
        height, width = self.compute_output_shape(shape)[1:3]
        if None in (height, width) or max(self.kernel_size) > 3:
            return False
        # With a stride, "same" pads more at the end, which `_patches` does not implement.
        thinned = self.strides == (2, 2) and self.padding == "valid"
        return thinned or self.strides == (1, 1) and height * width <= FEW_POSITIONS

    def _inputs_suit_patches(self, positions):
        """Whether the inputs' gradient is a convolution of the same form, and fast as a matrix product."""
        alike = self.strides == (1, 1) and self.padding == "same" and all(side % 2 for side in self.kernel_size)
        return alike and positions[0] * positions[1] <= FEW_POSITIONS

    def _mirrored(self, upstream, kernel, positions):
        """The gradient of the inputs: (batch, h, w, filters) convolved with the kernel rotated by 180 degrees."""
        import tensorflow as tf

        patches = _patches(upstream, self.kernel_size, 1, positions, "SAME", mirrored=True)
        turned = tf.reshape(tf.transpose(kernel, (0, 1, 3, 2)), (-1, kernel.shape[2]))
        return tf.reshape(tf.matmul(patches, turned), (-1, *positions, kernel.shape[2]))

    def _product(self, inputs, kernel):
        """The convolution of (batch, h, w, c) with a kernel (1, 1, c, filters), as a matrix product."""
        # No slice without a stride: it would change nothing, but its gradient is slow.
        inputs = inputs if self.strides == (1, 1) else _thinned(inputs, self.strides)
        batch, height, width, channels = ops.shape(inputs)
        # A single product of two matrices: with a batched product, the kernel's gradient would be summed over copies.
        kernel = ops.reshape(kernel, (channels, self.filters))
        outputs = ops.matmul(ops.reshape(inputs, (-1, channels)), kernel)
        return ops.reshape(outputs, (batch, height, width, self.filters))

    def _with_patches(self, inputs, kernel):
        """The convolution, and its kernel's gradient, as matrix products with the input patches."""
        import tensorflow as tf

        strides, padding = [1, *self.strides, 1], self.padding.upper()
        positions = self.compute_output_shape(inputs.shape)[1:3]

        @tf.custom_gradient
        def convolve(x, weights):
            patches = _patches(x, self.kernel_size, self.strides[0], positions, padding)
            outputs = tf.matmul(patches, tf.reshape(weights, (-1, self.filters)))

            def gradients(upstream):
                if self._inputs_suit_patches(positions):
                    of_inputs = self._mirrored(upstream, weights, positions)
                else:
                    of_inputs = tf.raw_ops.Conv2DBackpropInput(
                        input_sizes=tf.shape(x), filter=weights, out_backprop=upstream, strides=strides, padding=padding
                    )
                of_weights = tf.matmul(patches, tf.reshape(upstream, (-1, self.filters)), transpose_a=True)
                return of_inputs, tf.reshape(of_weights, weights.shape)

            return tf.reshape(outputs, (-1, *positions, self.filters)), gradients

        return convolve(inputs, tf.cast(kernel, inputs.dtype))


def _thinned(inputs, strides):
    """The rows and columns of (batch, h, w, c) that the strides keep; for strides (2, 2) with a fast gradient."""
    if strides != (2, 2) or None in inputs.shape[1:3]:
        return inputs[:, :: strides[0], :: strides[1]]
    import tensorflow as tf

    @tf.custom_gradient
    def thin(x):
        height, width = x.shape[1:3]

        def gradients(upstream):
            spread = upstream[:, :, None, :, None]
            spread = tf.pad(spread, [[0, 0], [0, 0], [0, 1], [0, 0], [0, 1], [0, 0]])
            shape = (-1, 2 * upstream.shape[1], 2 * upstream.shape[2], upstream.shape[3])
            return tf.reshape(spread, shape)[:, :height, :width]

        return _phase(_even(x), 0, 0, (height + 1) // 2, (width + 1) // 2), gradients

    return thin(inputs)


def _patches(x, size, stride, positions, padding, mirrored=False):
    """The input patch under the kernel at each position: (batch, h, w, c) to (batch * positions, rows * columns * c).

    If mirrored, the last row and column of each patch come first.
    """
    import tensorflow as tf

    if padding == "SAME":
        x = tf.pad(x, [[0, 0], *([(side - 1) // 2, side // 2] for side in size), [0, 0]])
    if stride == 2:
        x = _even(x)
        seen = [_phase(x, i, j, *positions) for i in range(size[0]) for j in range(size[1])]
    else:
        height, width = positions
        seen = [x[:, i : i + height, j : j + width] for i in range(size[0]) for j in range(size[1])]
    seen = seen[::-1] if mirrored else seen
    return tf.reshape(tf.concat(seen, axis=-1), (-1, size[0] * size[1] * x.shape[-1]))


def _even(x):
    """(batch, h, w, c) padded at the end with a row or column of zeros, so that height and width are even."""
    import tensorflow as tf

    height, width = x.shape[1:3]
    return tf.pad(x, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]]) if height % 2 or width % 2 else x


def _phase(x, row, column, height, width):
    """``x[:, row::2, column::2][:, :height, :width]``, computed by slices without a stride, which are fast."""
    import tensorflow as tf

    pairs = tf.reshape(x, (-1, x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3]))
    top, left = row // 2, column // 2
    return pairs[:, top : top + height, row % 2, left : left + width, column % 2]


@keras.saving.register_keras_serializable(package="gaaplib")
class Adam(keras.optimizers.Adam):
    """Adam with one kernel per variable (Kingma and Ba, "Adam", ICLR 2015, before Section 2.1).

    Keras composes the update from about fifteen operations. Both use the same epsilon, the paper's
    "epsilon hat". AMSGrad and sparse gradients use the stock update. Weight decay, clipping,
    averages and accumulation are not part of the update and work as in Keras.
    """

    def update_step(self, gradient, variable, learning_rate):
        if not fast() or self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        if isinstance(gradient, tf.IndexedSlices):
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = tf.cast(self.beta_1, dtype), tf.cast(self.beta_2, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=tf.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


def make_deterministic():
    """Make TensorFlow use deterministic kernels, so that equal seeds give bit-identical results.

    On other backends this does nothing; they need no such call.
    """
    if on_tensorflow():
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def gradient(function, inputs):
    """The gradient of the sum of a function's values, on any backend.

    Args:
        function: a function of `keras.ops` and layers, from a float tensor (batch, ...) to one of any shape.
        inputs: floats (batch, ...) at which the gradient is computed.

    Returns:
        A tensor of the backend, (batch, ...).
    """
    inputs = ops.convert_to_tensor(inputs)
    if on_tensorflow():
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = ops.sum(function(inputs))
        return tape.gradient(total, inputs)
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda tensor: ops.sum(function(tensor)))(inputs)
    import torch

    inputs = inputs.detach().requires_grad_()
    return torch.autograd.grad(ops.sum(function(inputs)), inputs)[0]
