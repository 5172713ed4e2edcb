{{/* The common part of all names: at most 47 characters, so that the longest suffix still makes a DNS label. */}}
{{- define "data-sync.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- $full | trunc 47 | trimSuffix "-" -}}
{{- end -}}

{{/* Selector labels of a component: dict "root" $ "component" "webhook". They never change. */}}
{{- define "data-sync.selector" -}}
app.kubernetes.io/name: data-sync-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* All labels of a component's objects. part-of is what keeps our own pods out of the webhook. */}}
{{- define "data-sync.labels" -}}
{{ include "data-sync.selector" . }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: flotta-data-sync
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Reference of an image: dict "root" $ "image" .Values.webhook.image. A repository with a host keeps it. */}}
{{- define "data-sync.image" -}}
{{- $registry := .root.Values.image.registry | trimSuffix "/" -}}
{{- $first := first (splitList "/" .image.repository) -}}
{{- $hosted := and (contains "/" .image.repository) (or (contains "." $first) (contains ":" $first) (eq $first "localhost")) -}}
{{- if and $registry (not $hosted) }}{{ $registry }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end -}}
{{- end -}}

{{/* Restricted Pod Security, for pods of our own. */}}
{{- define "data-sync.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.openshift.scc.create }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "data-sync.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{- define "data-sync.priorityClass" -}}
{{- if .Values.priorityClass.name -}}
{{ .Values.priorityClass.name }}
{{- else if .Values.priorityClass.create -}}
{{ include "data-sync.fullname" . }}
{{- end -}}
{{- end -}}

{{/* The Secret that holds the webhook's own authority (mode self) or its serving certificate. */}}
{{- define "data-sync.authoritySecret" -}}
{{ include "data-sync.fullname" . }}-webhook-ca
{{- end -}}

{{- define "data-sync.servingSecret" -}}
{{- if eq .Values.certificates.mode "provided" -}}
{{ .Values.certificates.provided.secretName }}
{{- else -}}
{{ include "data-sync.fullname" . }}-webhook-tls
{{- end -}}
{{- end -}}

{{/* Whether the cluster has ValidatingAdmissionPolicy in its stable form. */}}
{{- define "data-sync.hasPolicies" -}}
{{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version }}true{{ end -}}
{{- end -}}

{{/* What the schema cannot say, said in sentences. Every template that could go wrong includes it. */}}
{{- define "data-sync.validate" -}}
{{- if and (eq .Values.export.layout "flotta") (not .Values.export.flottaNamespace) -}}
{{- fail "export.layout: flotta has no namespace level in its paths; set export.flottaNamespace to the one namespace it is for" -}}
{{- end -}}
{{- if has ".." (splitList "/" .Values.export.root) -}}
{{- fail (printf "export.root: %q must be an absolute directory without .." .Values.export.root) -}}
{{- end -}}
{{- if not (has "kube-system" .Values.webhook.excludedNamespaces) -}}
{{- fail "webhook.excludedNamespaces must hold kube-system: its pods start before any webhook does" -}}
{{- end -}}
{{- if and (eq .Values.certificates.mode "provided") (not .Values.certificates.provided.secretName) -}}
{{- fail "certificates.mode: provided needs certificates.provided.secretName, a Secret of type kubernetes.io/tls" -}}
{{- end -}}
{{- if and .Values.webhook.hostNetwork (eq (int .Values.webhook.port) 10250) -}}
{{- fail "webhook.hostNetwork: true needs another webhook.port than 10250, which is kubelet's, for example 10260" -}}
{{- end -}}
{{- if eq (int .Values.webhook.port) (int .Values.webhook.metricsPort) -}}
{{- fail "webhook.port and webhook.metricsPort are the same; give them a port each" -}}
{{- end -}}
{{- if ne (empty .Values.test.bucket.configMap) (empty .Values.test.bucket.secret) -}}
{{- fail "test.bucket needs both configMap and secret, or neither" -}}
{{- end -}}
{{- with .Values.storage.default -}}
{{- if and .secret (not .configMap) -}}
{{- fail "storage.default.secret needs storage.default.configMap, which says where the bucket is" -}}
{{- end -}}
{{- if and .configMap (not .secret) (eq .credentials "keys") -}}
{{- fail "storage.default.configMap needs storage.default.secret, or storage.default.credentials: chain" -}}
{{- end -}}
{{- end -}}
{{- range $name := list "injection" "hostPath" "template" -}}
{{- if and (index $.Values.policies $name) (not (include "data-sync.hasPolicies" $)) -}}
{{- fail (printf "policies.%s needs Kubernetes 1.30 or newer; this one is %s" $name $.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the controller, and jobs that run its commands, are told. */}}
{{- define "data-sync.controllerEnv" -}}
- name: CONTROLLER_METRICS_LISTEN
  value: "0.0.0.0:9346"
- name: CONTROLLER_LOG_LEVEL
  value: {{ .Values.controller.logLevel }}
- name: CONTROLLER_WORKERS
  value: {{ .Values.controller.workers | quote }}
- name: CONTROLLER_RESYNC_INTERVAL
  value: {{ .Values.controller.resyncInterval | quote }}
- name: CONTROLLER_LEASE_NAME
  value: {{ include "data-sync.fullname" . }}-controller
- name: CONTROLLER_OBC_AUTO_CREATE
  value: {{ .Values.storage.obc.autoCreate | quote }}
- name: CONTROLLER_OBC_STORAGE_CLASS
  value: {{ .Values.storage.obc.storageClassName | quote }}
- name: CONTROLLER_OBC_RECLAIM_POLICY
  value: {{ .Values.storage.obc.reclaimPolicy }}
- name: CONTROLLER_SIDECAR_IMAGE
  value: {{ include "data-sync.image" (dict "root" $ "image" .Values.sidecar.image) }}
- name: CONTROLLER_DRAIN_DEADLINE
  value: {{ .Values.storage.drainDeadline | quote }}
- name: CONTROLLER_RELEASE_LIMIT
  value: {{ .Values.storage.releaseLimit | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .Values.controller.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Pod template of a job that runs one command of the controller: root, component, account, command. */}}
{{- define "data-sync.jobPod" -}}
metadata:
  labels:
    {{- include "data-sync.labels" . | nindent 4 }}
    data-sync.project-flotta.io/inject: disabled
spec:
  serviceAccountName: {{ .account }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: Never
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "data-sync.podSecurity" .root | nindent 4 }}
  {{- with .root.Values.controller.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.controller.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: controller
      image: {{ include "data-sync.image" (dict "root" .root "image" .root.Values.webhook.image) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: {{ concat (list "python" "-m" "controller") .command | toJson }}
      resources:
        {{- toYaml .root.Values.controller.resources | nindent 8 }}
      securityContext:
        {{- include "data-sync.containerSecurity" .root | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: tmp
      emptyDir:
        medium: Memory
        sizeLimit: 16Mi
{{- end -}}
