// A mutating webhook as one writes it with controller-runtime: it does what Headgate's does to an
// update that is to be held, and nothing else. `peer PORT FOLDER` serves /targets with the folder's
// tls.crt and tls.key.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type holder struct {
	decoder admission.Decoder
}

func (h *holder) Handle(_ context.Context, request admission.Request) admission.Response {
	var now, before appsv1.Deployment
	if err := h.decoder.DecodeRaw(request.Object, &now); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if err := h.decoder.DecodeRaw(request.OldObject, &before); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if equality.Semantic.DeepEqual(now.Spec.Template, before.Spec.Template) {
		return admission.Allowed("the template is the same")
	}
	now.Spec.Paused = true
	if now.Annotations == nil {
		now.Annotations = map[string]string{}
	}
	now.Annotations["peer.example/hold"] = request.UserInfo.Username
	held, err := json.Marshal(&now)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, held).WithWarnings("held by the peer")
}

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: os.Args[2]})
	server.Register("/targets", &admission.Webhook{Handler: &holder{admission.NewDecoder(scheme)}})
	if err := server.Start(signals.SetupSignalHandler()); err != nil {
		panic(err)
	}
}
