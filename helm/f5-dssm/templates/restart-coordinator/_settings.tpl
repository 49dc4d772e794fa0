{{- define "f5-dssm.restartCoordinator" -}}{{ include "f5-dssm.fullname" . }}-restart-coordinator{{- end -}}

{{/* The settings file of the restart coordinator. */}}
{{- define "f5-dssm.restartCoordinatorSettings" -}}
{{- $values := .Values.restartCoordinator -}}
namespace: {{ .Release.Namespace }}
db: {{ include "f5-dssm.db" . }}
sentinel: {{ include "f5-dssm.sentinel" . }}
primary-name: {{ .Values.primaryName }}
cluster-domain: {{ .Values.clusterDomain }}
certificate:
  secret: {{ .Values.tls.certsSecret }}
  item: {{ .Values.tls.certificateFile }}
tls:
  ca-file: /etc/dssm/certs/{{ .Values.tls.caFile }}
  certificate-file: /etc/dssm/certs/{{ .Values.tls.certificateFile }}
  key-file: /etc/dssm/keys/{{ .Values.tls.keyFile }}
{{- with $values.windows }}
windows:
{{- range . }}
  - cron: {{ .cron | quote }}
    duration: {{ .duration }}
    {{- with .name }}
    name: {{ . | quote }}
    {{- end }}
    {{- with .timeZone }}
    time-zone: {{ . | quote }}
    {{- end }}
{{- end }}
{{- end }}
{{- with $values.blackouts }}
blackouts: {{ . | toJson }}
{{- end }}
now-duration: {{ $values.nowDuration }}
tmm:
  restart: {{ $values.tmm.restart }}
  workloads: {{ $values.tmm.workloads | toJson }}
step-allowance: {{ $values.stepAllowance }}
reload-grace: {{ $values.reloadGrace }}
interval: {{ $values.interval }}
state: {{ include "f5-dssm.restartCoordinator" . }}-state
lease: {{ include "f5-dssm.restartCoordinator" . }}
http:
  port: {{ .Values.metrics.port }}
log:
  level: {{ .Values.logLevel }}
  format: {{ .Values.logFormat }}
{{- end -}}

{{/* What it may do in the release's namespace. */}}
{{- define "f5-dssm.restartCoordinatorRules" -}}
{{- $name := include "f5-dssm.restartCoordinator" . -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets]
  resourceNames: [{{ include "f5-dssm.db" . }}, {{ include "f5-dssm.sentinel" . }}]
  verbs: [get, patch]
# The certificates only: it has no business with the keys' Secret.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .Values.tls.certsSecret }}]
  verbs: [get]
# `create` cannot be bound to names.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ $name }}-state]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ $name }}]
  verbs: [get, update]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What it may do with TMM: dict "workloads" (those of one namespace) "restart" bool. */}}
{{- define "f5-dssm.restartCoordinatorWorkloadRules" -}}
{{- $names := list -}}
{{- $bySelector := false -}}
{{- range .workloads -}}
{{- if .name -}}{{- $names = append $names .name -}}{{- else -}}{{- $bySelector = true -}}{{- end -}}
{{- end -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- if $bySelector }}
# Deployments chosen by label can have any name.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list{{ if .restart }}, patch{{ end }}]
{{- else }}
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [{{ uniq $names | join ", " }}]
  verbs: [get{{ if .restart }}, patch{{ end }}]
{{- end }}
{{- end -}}
