{{- define "f5-dssm.certInit" -}}{{ include "f5-dssm.fullname" . }}-cert-init{{- end -}}

{{/* Pod of the hook Job and of the CronJob: dict "root" $ "account" name "config" name of the ConfigMap. */}}
{{- define "f5-dssm.certInitPod" -}}
{{- $values := .root.Values.certInit -}}
metadata:
  labels:
    {{- include "f5-dssm.podLabels" (dict "root" .root "app" (include "f5-dssm.certInit" .root) "component" "cert-init") | nindent 4 }}
  {{- with include "f5-dssm.annotations" .root }}{{ . | trim | nindent 2 }}{{ end }}
spec:
  serviceAccountName: {{ .account }}
  restartPolicy: Never
  enableServiceLinks: false
  securityContext:
    {{- include "f5-dssm.podSecurity" .root | nindent 4 }}
  {{- with include "f5-dssm.scheduling" (dict "root" .root "values" (dict "tolerations" $values.tolerations)) }}{{ . | trim | nindent 2 }}{{ end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: cert-init
      image: {{ include "f5-dssm.image" (dict "root" .root "name" "dssm-cert-init") }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: [ensure, --config, /etc/dssm/cert-init.yaml, --log-format, {{ .root.Values.logFormat }}]
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        {{- include "f5-dssm.containerSecurity" .root | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/dssm
          readOnly: true
  volumes:
    - name: config
      configMap:
        name: {{ .config }}
{{- end -}}

{{/*
What cert-init may do in a namespace, as a list of rules: its Secrets and nothing else. `create` cannot be bound to names. What it
keeps for itself lies in the release's namespace only. dict "root" $ "namespace" name.
*/}}
{{- define "f5-dssm.certInitRules" -}}
{{- $secrets := list .root.Values.tls.certsSecret .root.Values.tls.keysSecret -}}
{{- $own := eq .namespace .root.Release.Namespace -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ $own | ternary (concat $secrets (list "dssm-renewal-secret" "dssm-ca-key-secret")) $secrets | join ", " }}]
  verbs: [get, update]
{{- if $own }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [dssm-ca-key-secret]
  verbs: [delete]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Namespaces in which the Secrets are kept: the release's and TMM's, each once. */}}
{{- define "f5-dssm.certNamespaces" -}}
{{- prepend .Values.tmm.namespaces .Release.Namespace | uniq | toJson -}}
{{- end -}}

{{/* Account, rights and settings: dict "root" $ "name" name "annotations" map. */}}
{{- define "f5-dssm.certInitObjects" -}}
{{- $root := .root -}}
{{- $labels := include "f5-dssm.labels" (dict "root" $root "app" (include "f5-dssm.certInit" $root) "component" "cert-init") -}}
{{- $annotations := merge (dict) .annotations $root.Values.commonAnnotations -}}
{{- $name := .name -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with merge (dict) $annotations $root.Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
data:
  cert-init.yaml: |
    release: {{ $root.Release.Name }}
    namespace: {{ $root.Release.Namespace }}
    replicas: {{ $root.Values.replicaCount }}
    clusterDomain: {{ $root.Values.clusterDomain }}
    tmmNamespaces: {{ $root.Values.tmm.namespaces | toJson }}
    {{- with $root.Values.certInit }}
    profile: {{ .profile }}
    keyAlgorithm: {{ .keyAlgorithm }}
    days: {{ .days }}
    {{- if int .authorityDays }}
    authorityDays: {{ int .authorityDays }}
    {{- end }}
    {{- with .renewBefore }}
    renewBefore: {{ . }}
    {{- end }}
    dhParameters: {{ .dhParameters }}
    keepCAKey: {{ .keepCAKey }}
    propagationDelay: {{ .propagationDelay }}
    overlap: {{ .overlap }}
    names:
      {{- range $index := until (int $root.Values.replicaCount) }}
      {{- if ne $root.Values.certInit.profile "manual" }}
      - {{ include "f5-dssm.sentinel" $root }}-{{ $index }}.{{ include "f5-dssm.sentinelDomain" $root }}
      {{- end }}
      {{- end }}
      {{- range .names }}
      - {{ . | quote }}
      {{- end }}
    {{- end }}
{{- range include "f5-dssm.certNamespaces" $root | fromJsonArray }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ . }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
rules:
  {{- include "f5-dssm.certInitRules" (dict "root" $root "namespace" .) | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  namespace: {{ . }}
  labels:
    {{- $labels | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end -}}
