{# The entities that the platform's loader leaves, one folder or table each. #}

{% macro platform_entities() -%}
    {{ return([
        'namespaces', 'campaigns', 'campaign_runs', 'audiences', 'journeys', 'halts', 'unsubscribes', 'customers',
        'entitlements'
    ]) }}
{%- endmacro %}
