// Package config reads configuration files: default values and named profiles, in YAML.
// It knows neither flags nor the environment: package main gives those precedence over
// what config returns.
//
//	defaults:                       # for every mount
//	  cache-size: 20G
//	profiles:
//	  work:                         # downloadfs mount work
//	    url: https://alfresco.example.com
//	    mountpoint: ~/alfresco
//	    username: finn
package config
