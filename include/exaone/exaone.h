/* exaone.c: an inference engine for EXAONE 4.5. This header brings in the whole public interface.
 *
 *   status.h    status codes and error messages           tensors.h   named tensors and safetensors files
 *   text.h      tokenizer                                  chat.h      chat template and reply parser
 *   media.h     images and the processor's settings        video.h     videos
 *   source.h    bytes from files, data URIs and URLs       placeholders.h  tokens that images and videos fill
 *   sampling.h  from logits to the next token              engine.h    engine, session, forward
 *   parallel.h  the loop interface of the thread pool      version.h   version numbers
 *   hub.h       models from the Hugging Face hub and their cache
 *   quantize.h  writing GGUF files                         imatrix.h   importance matrices for it
 *   diff.h      errors between two weight files or models
 *   bench.h     measuring the machine and a model
 */
#ifndef EXAONE_EXAONE_H
#define EXAONE_EXAONE_H

#include "exaone/bench.h"
#include "exaone/cache.h"
#include "exaone/chat.h"
#include "exaone/diff.h"
#include "exaone/engine.h"
#include "exaone/hub.h"
#include "exaone/imatrix.h"
#include "exaone/media.h"
#include "exaone/parallel.h"
#include "exaone/placeholders.h"
#include "exaone/quantize.h"
#include "exaone/sampling.h"
#include "exaone/scheduler.h"
#include "exaone/source.h"
#include "exaone/status.h"
#include "exaone/tensors.h"
#include "exaone/text.h"
#include "exaone/version.h"
#include "exaone/video.h"

#endif
